"""Tables on disk come back as they were, whole studies in one call, and damage is noticed."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rotvar import results
from rotvar.errors import InputError

TABLE = pd.DataFrame(
    {
        "layer": ["conv", "conv", "fc"],
        "unit": [0, 1, 0],
        "stratum": pd.Categorical(["dog", "all", "all"]),
        "normalized_variance": [0.1, np.inf, np.nan],
        "loss": [0.1, 0.2, 0.3],
    }
)


def study(root: Path) -> Path:
    """Two networks, the second written first."""
    for training, seed in [("unrotated", 10), ("rotated", 2)]:
        folder = root / f"variance/dataset=mnist/model=vgg16/training={training}/seed={seed}"
        results.write(TABLE.assign(unit=TABLE["unit"] + seed), folder / "variance.parquet", {"seed": seed})
    return root / "variance"


def test_a_study_is_read_in_one_call(tmp_path: Path) -> None:
    table = results.read(study(tmp_path))
    assert list(table.columns) == [*TABLE.columns, "dataset", "model", "training", "seed"]
    assert table["training"].tolist() == ["rotated"] * 3 + ["unrotated"] * 3  # in the order of the paths
    assert table["seed"].tolist() == [2] * 3 + [10] * 3
    assert table["unit"].tolist() == [2, 3, 2, 10, 11, 10]
    assert table["layer"].tolist() == ["conv", "conv", "fc"] * 2
    np.testing.assert_array_equal(table["normalized_variance"][:3], np.float32([0.1, np.inf, np.nan]))
    text = ["layer", "stratum", "dataset", "model", "training"]
    assert {str(table[name].dtype) for name in text} == {"category"}
    numbers = ["unit", "seed", "loss", "normalized_variance"]
    assert [str(table[name].dtype) for name in numbers] == ["int64", "int64", "float64", "float32"]


def test_categories_are_in_order_of_appearance(tmp_path: Path) -> None:
    assert list(results.read(study(tmp_path))["stratum"].cat.categories) == ["dog", "all"]


@pytest.mark.parametrize(
    "part", ["dataset=mnist/model=vgg16/training=rotated/seed=2/variance.parquet", "dataset=mnist"]
)
def test_partition_columns_come_from_the_whole_path(tmp_path: Path, part: str) -> None:
    table = results.read(study(tmp_path) / part)
    assert table.iloc[0][["dataset", "model", "training", "seed"]].tolist() == ["mnist", "vgg16", "rotated", 2]


@pytest.mark.parametrize("above", ["seed=abc", "seed=7", "model=big", "run=2"])
def test_a_folder_above_the_results_is_no_partition(above: str, tmp_path: Path) -> None:
    table = results.read(study(tmp_path / above / "results"), seed=[2])
    assert list(table.columns) == [*TABLE.columns, "dataset", "model", "training", "seed"]
    assert table.iloc[0][["dataset", "model", "training", "seed"]].tolist() == ["mnist", "vgg16", "rotated", 2]


def test_partitions_of_a_path_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study(tmp_path))
    whole = results.read(tmp_path)
    assert results.read("dataset=mnist").equals(whole)
    monkeypatch.chdir("dataset=mnist/model=vgg16")
    assert results.read(".").equals(whole)


def test_several_sources_some_columns_some_rows(tmp_path: Path) -> None:
    files = sorted(study(tmp_path).rglob("*.parquet"), reverse=True)
    table = results.read(files, columns=["unit", "seed"], stratum=["all"], layer=("conv",))
    assert table.to_dict("list") == {"unit": [11, 3], "seed": [10, 2]}


def test_a_file_of_which_nothing_is_wanted_is_passed_over(tmp_path: Path) -> None:
    table = results.read(study(tmp_path), seed=[2])
    assert set(table["seed"]) == {2}
    assert "transformation" not in table.columns
    assert len(results.read(tmp_path, epoch=2, transformation="scale")) == 0  # of which no path tells


def test_a_single_name_or_value_is_a_list_of_one(tmp_path: Path) -> None:
    table = results.read(study(tmp_path), columns="unit", stratum="all", seed=2)
    assert table.to_dict("list") == {"unit": [3, 2]}
    assert len(results.read(tmp_path, seed=np.int64(10), loss=0.1)) == 1
    assert len(results.read(tmp_path, training="rotat")) == 0


@pytest.mark.parametrize(
    ("columns", "where", "name"),
    [
        (["normalised_variance"], {}, "normalised_variance"),
        ("strata", {}, "strata"),
        (None, {"strata": ["all"]}, "strata"),
        (["unit"], {"layers": "conv"}, "layers"),
    ],
)
def test_an_unknown_column_is_one_sentence_with_those_there_are(columns, where, name, tmp_path: Path) -> None:
    sentence = rf"^There is no column '{name}' in .*: choose among layer, unit, stratum, .*, dataset, .*\.$"
    with pytest.raises(InputError, match=sentence):
        results.read(study(tmp_path), columns, **where)


@pytest.mark.parametrize(
    ("name", "value"), [("seed", "first"), ("unit", "conv"), ("seed", [0, "first"]), ("epoch", "last")]
)
def test_values_of_another_type_are_one_sentence(name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^{name} cannot be one of \[.*\]: give values of its type, int64\.$"):
        results.read(study(tmp_path), **{name: value})


def test_values_are_taken_as_the_columns_type(tmp_path: Path) -> None:
    results.write(TABLE.assign(stratum=["0", "1", "all"]), tmp_path / "variance.parquet", {})
    assert results.read(tmp_path, stratum=range(2), unit=["0", "1"])["unit"].tolist() == [0, 1]
    assert len(results.read(tmp_path, stratum=[])) == 0


def test_a_column_that_some_files_have_is_missing_in_the_others(tmp_path: Path) -> None:
    for seed, table in enumerate([TABLE, TABLE.assign(local_firing_rate=0.5)]):
        results.write(table, tmp_path / f"seed={seed}" / "variance.parquet", {})
    table = results.read(tmp_path, columns=["local_firing_rate", "layer"])
    assert list(table.columns) == ["local_firing_rate", "layer"]
    assert table["layer"].tolist() == ["conv", "conv", "fc"] * 2
    np.testing.assert_array_equal(table["local_firing_rate"], [np.nan] * 3 + [0.5] * 3)
    assert len(results.read(tmp_path, columns="local_firing_rate")) == 6
    assert results.read(tmp_path, local_firing_rate=0.5)["seed"].tolist() == [1] * 3


def test_an_epoch_comes_from_the_path_or_from_the_file(tmp_path: Path) -> None:
    network = tmp_path / "emergence/dataset=mnist/model=vgg16/training=rotated/seed=2"
    for epoch in (10, 2):
        results.write(TABLE, network / f"epoch={epoch}" / "variance.parquet", {})
    assert results.read(tmp_path)["epoch"].tolist() == [10] * 3 + [2] * 3
    assert set(results.read(tmp_path, epoch=[2])["epoch"]) == {2}
    history = tmp_path / "models/dataset=mnist/history.parquet"
    results.write(pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.25]}), history, {})
    assert results.read(history)["epoch"].tolist() == [1, 2]
    assert results.read(history, epoch=[7]).columns.tolist() == ["epoch", "loss", "dataset"]  # nor is it lost


def test_a_file_outside_partitions_has_no_partition_columns(tmp_path: Path) -> None:
    results.write(TABLE, tmp_path / "variance.parquet", {})
    assert list(results.read(tmp_path).columns) == list(TABLE.columns)


def test_the_file_says_where_it_came_from(tmp_path: Path) -> None:
    origin = {"seed": 3, "config": {"widths": [8, 16]}, "device": "CPU, 2 threads", "git_commit": None}
    results.write(TABLE, tmp_path / "variance.parquet", origin)
    assert results.metadata(tmp_path / "variance.parquet") == origin


def test_how_it_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "variance.parquet"
    results.write(TABLE, path, {})
    schema = pq.read_schema(path)
    assert pa.types.is_dictionary(schema.field("layer").type)
    assert pa.types.is_dictionary(schema.field("stratum").type)
    assert schema.field("normalized_variance").type == pa.float32()
    assert schema.field("loss").type == pa.float64()
    group = pq.ParquetFile(path).metadata.row_group(0)
    assert {group.column(index).compression for index in range(group.num_columns)} == {"ZSTD"}


def test_other_readers_agree(tmp_path: Path) -> None:
    root = study(tmp_path)
    ours = results.read(root)
    theirs = pd.read_parquet(root)
    pd.testing.assert_frame_equal(ours[["layer", "unit"]], theirs[["layer", "unit"]])
    query = f"select unit, seed from read_parquet('{root}/**/*.parquet', hive_partitioning = true) order by seed, unit"
    assert duckdb.sql(query).fetchall() == [(2, 2), (2, 2), (3, 2), (10, 10), (10, 10), (11, 10)]


def test_a_damaged_page_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "variance.parquet"
    results.write(pd.DataFrame({"loss": np.random.default_rng(0).random(1000)}), path, {})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"variance\.parquet cannot be read as Parquet .*: make it again with "):
        results.read(path)


def test_other_readers_can_notice_a_damaged_page(tmp_path: Path) -> None:
    """They do not know of the checksum of the whole file."""
    path = tmp_path / "variance.parquet"
    results.write(pd.DataFrame({"loss": np.random.default_rng(0).random(1000)}), path, {})
    content = bytearray(path.read_bytes())
    content[4000] ^= 1  # one of 8,000 bytes of numbers
    path.write_bytes(bytes(content))
    assert pq.read_table(path, page_checksum_verification=False)["loss"].null_count == 0
    with pytest.raises(OSError, match="CRC checksum verification failed"):
        pq.read_table(path, page_checksum_verification=True)


def test_half_a_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "variance.parquet"
    results.write(TABLE, path, {})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="make it again with "):
        results.read(tmp_path)


def test_unfinished_files_are_passed_over(tmp_path: Path) -> None:
    root = study(tmp_path)
    (root / "dataset=mnist" / ".variance.1234.parquet").write_text("half")
    assert len(results.read(root)) == 6


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Parquet files at"):
        results.read(tmp_path / "nowhere")


def test_a_pattern_that_no_file_fits_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file or folder to read"):
        results.read(study(tmp_path).glob("dataset=cifar10/**/*.parquet"))


def test_files_of_several_kinds_are_an_error(tmp_path: Path) -> None:
    study(tmp_path)
    results.write(TABLE, tmp_path / "accuracy/dataset=mnist/accuracy.parquet", {})
    with pytest.raises(InputError, match=r"several kinds \(accuracy\.parquet, variance\.parquet\)"):
        results.read(tmp_path)


def test_two_studies_in_one_table_are_an_error(tmp_path: Path) -> None:
    """Their rows of one network could not be told apart, and would count as those of two seeds."""
    one, other = (study(tmp_path / name) for name in ("one", "other"))
    with pytest.raises(InputError, match=r"one/.*/seed=2/.* and .*other/.*/seed=2/.* would be the same rows: read one"):
        results.read([one, other])
