"""Tables: means over seeds, the published values beside ours, in three formats."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_tables import stable, variance

from rotvar import tables
from rotvar.errors import InputError

NETWORK = {"dataset": "mnist", "model": "simple_conv"}


def accuracies(rows: list[tuple]) -> pd.DataFrame:
    names = ["dataset", "model", "training", "seed", "test", "n", "accuracy"]
    return pd.DataFrame(rows, columns=names).astype({"model": "category", "training": "category"})


OURS = accuracies(
    [
        ("mnist", "resnet", "rotated", 0, "unrotated", 100, 0.5),
        ("mnist", "simple_conv", "rotated", 0, "rotated", 100, 0.97),
        ("mnist", "simple_conv", "rotated", 1, "rotated", 100, 0.99),
        ("mnist", "simple_conv", "unrotated", 0, "unrotated", 100, 0.99),
        ("digits", "simple_conv", "rotated", 0, "rotated", 100, 0.9),
    ]
)


def test_published_values_are_the_papers() -> None:
    published = tables.published()
    accuracy, variance = published["accuracy"], published["global_variance"]
    assert len(accuracy) == 32
    assert len(variance) == 64
    one = accuracy[(accuracy["dataset"] == "cifar10") & (accuracy["model"] == "resnet")]
    assert one.set_index(["training", "test"])["accuracy"].to_dict() == {
        ("unrotated", "unrotated"): 0.613,
        ("unrotated", "rotated"): 0.236,
        ("rotated", "unrotated"): 0.65,
        ("rotated", "rotated"): 0.652,
    }
    assert "10.1007/978-3-030-27713-0_9" in variance.attrs["source"]


def test_ours_beside_theirs_in_the_projects_order() -> None:
    table = tables.accuracy(OURS)
    assert list(table.columns) == [
        *["dataset", "model", "training", "test", "seeds", "accuracy", "std", "published", "difference"]
    ]
    assert table[["dataset", "model", "training", "test", "seeds"]].to_numpy().tolist() == [
        ["digits", "simple_conv", "rotated", "rotated", 1],
        ["mnist", "simple_conv", "unrotated", "unrotated", 1],
        ["mnist", "simple_conv", "rotated", "rotated", 2],
        ["mnist", "resnet", "rotated", "unrotated", 1],
    ]
    assert table["accuracy"].tolist() == pytest.approx([0.9, 0.99, 0.98, 0.5])
    assert table["std"].tolist() == pytest.approx(
        [float("nan"), float("nan"), 0.02 / 2**0.5, float("nan")], nan_ok=True
    )
    assert table["published"].tolist() == pytest.approx([float("nan"), 0.993, 0.98, 0.986], nan_ok=True)
    assert table["difference"].tolist() == pytest.approx([float("nan"), -0.003, 0.0, -0.486], nan_ok=True, abs=1e-12)


def test_names_of_ones_own_come_after_those_of_the_catalogue_by_name() -> None:
    ours = pd.concat([OURS.iloc[:1].assign(dataset=name) for name in ("roses", "mnist", "lilies")])
    assert tables.accuracy(ours)["dataset"].tolist() == ["mnist", "lilies", "roses"]


def test_global_values_are_matched_by_stratum_and_aggregation() -> None:
    theirs = tables.published()["global_variance"]
    theirs = theirs[(theirs["dataset"] == "mnist") & (theirs["model"] == "simple_conv")]
    assert len(theirs) == 8
    ours = theirs.assign(seed=0, units=10, finite=9, global_variance=theirs["global_variance"] + 0.25)
    single = ours.iloc[[0]].assign(stratum="0 - zero")
    spatial = ours.iloc[[0]].assign(aggregation="spatial")
    table = tables.global_variance(pd.concat([single, spatial, ours.sample(frac=1, random_state=0)]))
    assert len(table) == 9  # classes are left out
    compared = table[table["aggregation"] != "spatial"]
    assert compared["difference"].tolist() == pytest.approx([0.25] * 8)
    assert table[table["aggregation"] == "spatial"]["published"].isna().all()
    assert table["stratum"].tolist()[:2] == ["all", "all"]


@pytest.mark.parametrize("name", ["dataset", "model", "training"])
def test_values_of_a_network_without_its_name_are_not_set_beside_all_published_ones(name: str) -> None:
    with pytest.raises(InputError, match=f"^The table has no column {name}, by which values are published: add one"):
        tables.accuracy(OURS.drop(columns=name))


def test_a_table_is_read_back_by_its_checksum(tmp_path: Path) -> None:
    table = tables.accuracy(OURS)
    names = [tmp_path / f"accuracy.{suffix}" for suffix in ("csv", "md", "tex", "sha256")]
    tables.write(table, *names)
    pd.testing.assert_frame_equal(tables.read(names[0]), pd.read_csv(names[0]))
    check = subprocess.run(["sha256sum", "--check", "accuracy.sha256"], cwd=tmp_path, capture_output=True, text=True)
    assert check.stdout == "accuracy.csv: OK\naccuracy.md: OK\naccuracy.tex: OK\n"
    names[0].write_text(names[0].read_text().replace("0.9", "0.8"))
    with pytest.raises(InputError, match=r"accuracy\.csv cannot be read as a table \(its checksum .+: make it again"):
        tables.read(names[0])
    names[3].unlink()
    with pytest.raises(InputError, match=r"accuracy\.csv cannot be read as a table \(.*No such file"):
        tables.read(names[0])


@pytest.mark.parametrize("column", ["layer", "scheme"])
def test_layers_that_look_like_numbers_keep_their_names(column: str, tmp_path: Path) -> None:
    """A scheme of a retraining is a layer's name, too."""
    names = ["0.1", "0.10", "1"]
    tables.write(pd.DataFrame({column: names, "n": 1}), tmp_path / "layers.csv", tmp_path / "layers.sha256")
    assert tables.read(tmp_path / "layers.csv")[column].tolist() == names


@pytest.mark.parametrize("name", ["null", "nan", "true", "inf"])
def test_names_that_mean_something_else_to_a_reader_of_csv_keep_their_letters(name: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"model": [name, name], "layer": [name, "conv"], "accuracy": [0.5, np.nan]})
    tables.write(table, tmp_path / "a.csv", tmp_path / "a.sha256")
    pd.testing.assert_frame_equal(tables.read(tmp_path / "a.csv"), table)


def test_csv_has_every_digit(tmp_path: Path) -> None:
    table = tables.accuracy(OURS)
    tables.write(table, tmp_path / "accuracy.csv")
    exactly = dict.fromkeys(table.select_dtypes("float"), lambda text: float(text or "nan"))  # pandas may round
    read = pd.read_csv(tmp_path / "accuracy.csv", converters=exactly)
    pd.testing.assert_frame_equal(read, table, check_exact=True, check_dtype=False)


def test_one_seed_has_an_empty_std(tmp_path: Path) -> None:
    names = [tmp_path / f"accuracy.{suffix}" for suffix in ("csv", "md", "tex")]
    tables.write(tables.accuracy(OURS[OURS["seed"] == 0]), *names)
    csv, markdown, latex = (name.read_text(encoding="utf-8") for name in names)
    assert "digits,simple_conv,rotated,rotated,1,0.9,,,\n" in csv
    assert "nan" not in (csv + markdown + latex).lower()


def test_markdown(tmp_path: Path) -> None:
    tables.write(tables.accuracy(OURS).iloc[[0, 2]], tmp_path / "accuracy.md")
    lines = (tmp_path / "accuracy.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][:2] + cells[0][5:7] == ["data set", "model", "accuracy", "std over seeds"]
    assert cells[2] == ["Digits", "SimpleConv", "rotated", "rotated", "1", "0.900", "–", "–", "–"]
    assert cells[3] == ["MNIST", "SimpleConv", "rotated", "rotated", "2", "0.980", "0.014", "0.980", "+0.000"]
    assert cells[1][0].startswith(":-")
    assert cells[1][5].endswith("-:")


def test_latex_is_booktabs_with_escaped_text(tmp_path: Path) -> None:
    table = pd.DataFrame({"model": [r"my_net & co\100%", "vgg16"], "accuracy": [0.5, float("nan")]})
    tables.write(table, tmp_path / "accuracy.tex", caption="Accuracies.")
    text = (tmp_path / "accuracy.tex").read_text(encoding="utf-8")
    for part in [r"\toprule", r"\bottomrule", r"\caption{Accuracies.}", r"\begin{longtable}{lr}"]:
        assert part in text
    assert r"my\_net \& co\textbackslash 100\% & 0.500 \\" in text
    assert r"VGG16 & – \\" in text


def test_another_format_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"table\.xlsx: end the name in \.csv, \.md, \.tex or \.sha256"):
        tables.write(OURS, tmp_path / "table.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_layers_in_execution_order_with_mean_and_spread_over_seeds() -> None:
    values = pd.DataFrame(
        [
            ("rotated", seed, stratum, 10 * index, f"layer{10 * index}", index + seed)
            for seed in (0, 1)
            for stratum in ("stratified", "all", "0")
            for index in (2, 1, 0)
        ],
        columns=["training", "seed", "stratum", "layer_index", "layer", "normalized_variance"],
    ).assign(**NETWORK, aggregation="mean", kind="convolution", units=8, finite=8)
    table = tables.layers(values)
    assert list(table.columns) == [
        *["dataset", "model", "training", "stratum", "aggregation"],
        *["layer_index", "layer", "kind", "seeds", "normalized_variance", "std"],
    ]
    assert table["stratum"].tolist() == ["all"] * 3 + ["stratified"] * 3  # classes have a figure, and the Parquet files
    assert table["layer_index"].tolist() == [0, 10, 20] * 2
    assert table["layer"].tolist() == ["layer0", "layer10", "layer20"] * 2
    assert table["normalized_variance"].tolist() == [0.5, 1.5, 2.5] * 2
    assert table["std"].tolist() == pytest.approx([0.5**0.5] * 6)
    assert set(table["seeds"]) == {2}


def test_global_values_under_each_transformation_have_rotation_first() -> None:
    places = {"dataset": "mnist", "model": "vgg16", "training": "rotated", "stratum": "all", "aggregation": "mean"}
    rows = [("blur", 0, 1.0), ("blur", 1, 3.0), ("rotation", 0, 4.0), ("rotation", 1, 4.0)]
    values = pd.DataFrame(rows, columns=["transformation", "seed", "global_variance"]).assign(**places)
    table = tables.transformations(values)
    assert table["transformation"].tolist() == ["rotation", "blur"]
    assert table["global_variance"].tolist() == [4, 2]
    assert table["std"].tolist() == pytest.approx([0, 2**0.5])


def test_schemes_of_a_retraining_stay_in_their_order() -> None:
    schemes = ["none", "conv2", "conv10", "fc", "all convolutions", "all", "from the start"]
    rows = [
        ("resnet", scheme, test, seed, place + seed + 0.1 * (test == "rotated"))
        for seed in (0, 1)
        for place, scheme in enumerate(schemes)
        for test in ("unrotated", "rotated")
    ]
    values = pd.DataFrame(rows, columns=["model", "scheme", "test", "seed", "accuracy"]).assign(
        dataset="mnist", training="unrotated", retrained="rotated", kind="group", parameters=5, n=10
    )
    table = tables.retraining(pd.concat([values, values.assign(model="simple_conv")]))
    assert list(table.columns) == [
        *["dataset", "model", "training", "retrained", "scheme", "kind", "parameters", "test"],
        *["seeds", "accuracy", "std"],
    ]
    assert table["model"].tolist() == ["simple_conv"] * 14 + ["resnet"] * 14
    assert table["scheme"].tolist() == [scheme for scheme in schemes for _ in range(2)] * 2
    assert table["test"].tolist() == ["unrotated", "rotated"] * 14
    assert table["accuracy"][:4].tolist() == pytest.approx([0.5, 0.6, 1.5, 1.6])
    assert set(table["std"].round(6)) == {0.707107}


def test_layers_after_epochs_are_in_the_order_of_both() -> None:
    rows = [("rotated", epoch, index, 0.1 * epoch + index) for epoch in (10, 2, 0) for index in (1, 0)]
    values = pd.DataFrame(rows, columns=["training", "epoch", "layer_index", "normalized_variance"]).assign(
        **NETWORK, seed=0, stratum="all", aggregation="mean", layer="a layer", kind="sum", units=4, finite=4
    )
    table = tables.emergence(values)
    assert list(table.columns) == [
        *["dataset", "model", "training", "aggregation", "epoch", "layer_index", "layer", "kind", "normalized_variance"]
    ]
    assert table[["epoch", "layer_index"]].to_numpy().tolist() == [[0, 0], [0, 1], [2, 0], [2, 1], [10, 0], [10, 1]]


@pytest.mark.parametrize(
    ("value", "shown", "as_difference"),
    [
        (12.3456, "12.346", "+12.346"),
        (0.0005, "0.001", "+0.001"),
        (0.0004999, "0.0005", "+0.0005"),
        (0.000321, "0.0003", "+0.0003"),
        (-0.0000321, "-0.00003", "-0.00003"),
        (0.0000012, "0.000001", "+0.000001"),
        (1e-16, "0.000", "+0.000"),  # a mean of equal values
        (0.0, "0.000", "+0.000"),
        (np.inf, "inf", "+inf"),
        (np.nan, "–", "–"),
    ],
)
def test_three_decimals_or_the_first_digit_that_is_not_0(value: float, shown: str, as_difference: str) -> None:
    table = tables.presentable(pd.DataFrame({"std": [value, 1.0], "difference": [value, 1.0]}))
    assert table.iloc[0].tolist() == [shown, as_difference]


def test_global_values_on_each_data_set_in_the_catalogues_order() -> None:
    places = {"model": "vgg16", "training": "rotated", "stratum": "all", "aggregation": "mean"}
    rows = [("mnist", "cifar10", 0, 1.0), ("mnist", "cifar10", 1, 3.0), ("mnist", "mnist", 0, 4.0)]
    values = pd.DataFrame(rows, columns=["dataset", "measured_on", "seed", "global_variance"]).assign(**places)
    table = tables.transfer(values)
    assert table["measured_on"].tolist() == ["mnist", "cifar10"]
    assert table["global_variance"].tolist() == [4, 2]
    shown = tables.presentable(table)
    assert shown["measured on"].tolist() == ["MNIST", "CIFAR10"]


def test_stability_in_execution_order_with_dashes_for_numbers_that_there_are_not(tmp_path: Path) -> None:
    values = stable(variance({"rotated": {"conv": [0.5], "fc": [1.0]}, "unrotated": {"conv": [1.0], "fc": [2.0]}}))
    table = tables.stability(values.iloc[::-1])
    assert list(table.columns) == [
        *["dataset", "model", "training", "aggregation", "layer_index", "layer", "kind", "seeds", "images"],
        *["normalized_variance", "low", "high", "std", "image_std", "smallest_difference"],
        *["seeds_needed", "images_needed"],
    ]
    assert table["training"].tolist() == ["unrotated"] * 2 + ["rotated"] * 2
    assert table["layer"].tolist() == ["conv", "fc"] * 2
    shown = tables.presentable(table)
    assert shown["seeds needed"].tolist() == ["–"] * 4  # of one seed
    assert shown["images needed"].tolist() == [str(number) for number in table["images_needed"]]
    table.loc[0, "seeds_needed"] = 55
    tables.write(table, tmp_path / "stability.csv", tmp_path / "stability.sha256")
    read = tables.read(tmp_path / "stability.csv")
    assert tables.presentable(read)["seeds needed"].tolist() == ["55", "–", "–", "–"]
