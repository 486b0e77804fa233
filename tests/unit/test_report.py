"""The parts of the report; the page itself is tested in a browser (tests/integration/test_report_in_browser.py)."""

import base64
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rotvar import results, tables
from rotvar.errors import InputError
from rotvar.report import facts, graph, numbers, page, pictures

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def decoded(picture: pictures.Picture) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2])))


def test_a_picture_has_the_pixels_of_the_figure_in_fewer_bytes() -> None:
    path = ROOT / "docs" / "example" / "figures" / "mnist" / "simple_conv" / "heatmap_mean_all.png"
    picture = pictures.embed(path)
    assert picture.uri.startswith("data:image/webp;base64,")
    assert len(picture.uri) < path.stat().st_size / 2
    assert (picture.width, picture.height) == Image.open(path).size
    assert np.array_equal(np.asarray(decoded(picture)), np.asarray(Image.open(path).convert("RGB")))


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (200, 0, 0, 0)).save(tmp_path / "a.png")
    assert decoded(pictures.embed(tmp_path / "a.png")).convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_too_large_for_webp_stays_a_png(tmp_path: Path) -> None:
    Image.new("RGB", (pictures.MOST + 1, 2)).save(tmp_path / "wide.png")
    picture = pictures.embed(tmp_path / "wide.png")
    assert picture.uri.startswith("data:image/png;base64,")
    assert decoded(picture).size == (pictures.MOST + 1, 2)


def test_a_figure_of_a_thousand_classes_is_no_attack(tmp_path: Path) -> None:
    """Pillow takes more than 178,956,970 pixels for one."""
    Image.new("1", (9_000, 20_000)).save(tmp_path / "classes.png")
    picture = pictures.embed(tmp_path / "classes.png")
    assert (picture.width, picture.height) == (9_000, 20_000)


def test_a_damaged_figure_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(InputError, match=r"a\.png cannot be read as an image \(.+\): make it again with "):
        pictures.embed(tmp_path / "a.png")


def boxes(svg: str) -> dict[str, tuple[float, float, float]]:
    """The left, right and top of each rule's box."""
    root = ElementTree.fromstring(svg)
    names = [str(text.text) for text in root.iter(f"{SVG}text")]
    places = [[float(rect.attrib[key]) for key in ("x", "width", "y")] for rect in root.iter(f"{SVG}rect")]
    return {name: (x, x + width, y) for name, (x, width, y) in zip(names, places, strict=True)}


AFTER = {"data": [], "train": ["data"], "measure": ["train", "data"], "curves": ["train"], "plot": ["measure", "gone"]}


def test_a_rule_stands_right_of_all_that_it_reads() -> None:
    found = boxes(graph.svg(AFTER))
    assert found.keys() == AFTER.keys()
    for rule, before in AFTER.items():
        assert all(found[one][1] < found[rule][0] for one in before if one in AFTER)
    columns: dict[float, list[float]] = {}
    for left, _, top in found.values():
        columns.setdefault(left, []).append(top)
    for tops in columns.values():
        assert all(np.diff(sorted(tops)) >= graph.BOX)


def test_an_arrow_joins_each_rule_with_what_it_reads() -> None:
    svg = graph.svg({"a": [], "b": ["a"], "c": ["a", "b"]})
    curves = re.findall(r'd="M([\d.]+) ([\d.]+)C.* ([\d.]+) ([\d.]+)"', svg.replace("/>", "/>\n"))
    straight = re.findall(r'd="M[\d.]+ [\d.]+H', svg)
    assert len(curves) == 4  # a-b, b-c, and a-c in two parts
    assert len(straight) == 1  # past b
    found = boxes(svg)
    starts = {float(x) for x, _, _, _ in curves}
    assert {found["a"][1], found["b"][1]} <= starts


def test_names_in_a_graph_are_escaped() -> None:
    assert "<script>" not in graph.svg({"<script>": []})


def test_rules_in_a_circle_are_an_error() -> None:
    with pytest.raises(ValueError, match="a, b wait for each other"):
        graph.svg({"a": ["b"], "b": ["a"]})


def test_a_table_shows_titles_and_three_decimals_and_sorts_by_all() -> None:
    frame = pd.DataFrame(
        {
            "dataset": ["cifar10", "mnist"],
            "training": ["unrotated", "rotated"],
            "test": ["rotated", "rotated"],
            "accuracy": [0.12345, np.nan],
            "training time seconds": [5.0, 3725.0],
        }
    )
    table = numbers.table(frame)
    assert [column.title for column in table.columns] == ["data set", "training", "test", "accuracy", "training time"]
    assert [column.numeric for column in table.columns] == [False, False, False, True, True]
    assert [column.choices for column in table.columns] == [["CIFAR10", "MNIST"], ["unrotated", "rotated"], [], [], []]
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["CIFAR10", "unrotated", "rotated", "0.123", "5.0 s"],
        ["MNIST", "rotated", "rotated", "–", "1 h 2 min"],
    ]
    assert [row[3].value for row in table.rows] == [0.12345, ""]
    assert [column.coloured for column in table.columns] == [False, True, False, False, False]


def test_whole_numbers_that_may_be_missing_are_shown_whole(tmp_path: Path) -> None:
    written = pd.DataFrame({"seeds_needed": [55, None], "images_needed": [1200, None]}, dtype="Int64")
    tables.write(written, tmp_path / "stability.csv", tmp_path / "stability.sha256")
    table = numbers.table(tables.read(tmp_path / "stability.csv"))
    assert [column.numeric for column in table.columns] == [True, True]
    assert json.loads(json.dumps(table.data)) == [[["55", 55], ["1200", 1200]], [["–", ""], ["–", ""]]]


def test_what_is_no_finite_number_sorts_as_nothing() -> None:
    """The page's script reads the rows as JSON, which has no infinity."""
    table = numbers.table(pd.DataFrame({"value": [0.5, float("inf"), float("nan")]}))
    assert [value for ((_, value),) in table.data] == [0.5, "", ""]


def test_a_duration_has_at_most_two_units() -> None:
    times = [0.04, 9.9, 9.96, 59.4, 59.6, 3599.4, 3600, 90061]
    words = ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "25 h 1 min"]
    assert [numbers.duration(seconds) for seconds in times] == words


def test_the_summary_has_a_row_per_data_set_model_and_training() -> None:
    names = {"dataset": "mnist", "model": "resnet"}
    accuracy = pd.DataFrame(
        [
            names | {"training": training, "test": test, "accuracy": value}
            for training, test, value in [
                ("unrotated", "unrotated", 0.9),
                ("unrotated", "rotated", 0.4),
                ("rotated", "unrotated", 0.8),
            ]
        ]
    )
    variance = pd.DataFrame(
        [
            names | {"training": training, "stratum": stratum, "aggregation": aggregation, "global_variance": value}
            for training, stratum, aggregation, value in [
                ("unrotated", "all", "mean", 1.0),
                ("unrotated", "stratified", "mean", 2.0),
                ("unrotated", "all", "spatial", 3.0),
                ("rotated", "all", "mean", 0.5),
            ]
        ]
    )
    expected = pd.DataFrame(
        [
            names | {"training": "unrotated"} | dict(zip("abcd", [0.9, 0.4, 1.0, 3.0], strict=True)),
            names | {"training": "rotated"} | dict(zip("abcd", [0.8, np.nan, 0.5, np.nan], strict=True)),
        ]
    )
    titles = ["accuracy, unrotated images", "accuracy, rotated images", "global value, mean", "global value, spatial"]
    expected = expected.rename(columns=dict(zip("abcd", titles, strict=True)))
    pd.testing.assert_frame_equal(numbers.summary(accuracy, variance, ["mean", "spatial"]), expected)


def metadata(**changes: object) -> dict[str, object]:
    return {
        "configuration": {
            "architecture": {"width": 8, "hidden": 16},
            "recipe": {"epochs": 2, "batch_size": 32},
            "augmentation": {},
            "aggregations": ["mean", "max"],
        },
        "seed": 0,
        "R": 16,
        "train_images": 60000,
        "test_images": 10000,
        "device": "a CPU",
        "packages": {"python": "3.11", "torch": "2.12"},
        "commit": "abc",
        "seconds": 12.5,
    } | changes


EPOCHS = pd.DataFrame({"epoch": [1, 1, 2, 2], "split": ["train", "test"] * 2, "seconds": [60.0, 60.0, 30.0, 30.0]})


def written(folder: Path, what: str, facts: dict[str, object], seed: int = 0) -> Path:
    path = folder / what / f"dataset=mnist/model=resnet/training=unrotated/seed={seed}" / "a.parquet"
    results.write(EPOCHS, path, facts)
    return path


def test_the_study_says_each_thing_once(tmp_path: Path) -> None:
    histories = [written(tmp_path, "models", metadata(device="a GPU"), seed) for seed in (0, 1)]
    variances = [written(tmp_path, "variance", metadata(seed=seed), seed) for seed in (0, 1)]
    assert facts.study(histories, variances) == [
        ("Data sets", ["MNIST: 60,000 training and 10,000 test images"]),
        ("Models", ["ResNet"]),
        ("Trainings", ["unrotated: images as they are"]),
        ("Seeds", ["0, 1"]),
        ("Angles", ["16, every 22.5°"]),
        ("Aggregations", ["mean, max"]),
        ("Trained on", ["a GPU"]),
        ("Measured on", ["a CPU"]),
        ("Versions", ["python 3.11, torch 2.12"]),
        ("Commit", ["abc"]),
    ]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([None, None], "random weights"),
        (["mine.safetensors", "mine.safetensors"], "the weights of mine.safetensors"),
        ([None, "mine.safetensors"], "random weights or the weights of mine.safetensors"),  # of two models
    ],
)
def test_a_training_of_no_epochs_says_which_weights_are_left(
    files: list[str | None], words: str, tmp_path: Path
) -> None:
    configuration = {"architecture": {}, "recipe": {"epochs": 0}, "augmentation": {}, "aggregations": []}
    found = [metadata(configuration=configuration | ({"begin_with": file} if file else {})) for file in files]
    histories, variances = (
        [written(tmp_path, what, facts, seed) for seed, facts in enumerate(found)] for what in ("models", "variance")
    )
    assert dict(facts.study(histories, variances))["Trainings"] == [f"unrotated: {words}"]
    recipes = facts.networks(histories, variances)["recipe"]
    assert recipes.tolist() == ["epochs 0" + f", begins with {file}" * bool(file) for file in files]


def test_a_network_says_its_recipe_device_and_times(tmp_path: Path) -> None:
    history = written(tmp_path, "models", metadata(device="a GPU", seconds=31.0, resumed=[[2, 0]]))
    variance = written(tmp_path, "variance", metadata())
    (row,) = facts.networks([history], [variance]).to_dict("records")
    assert row == {
        "dataset": "mnist",
        "model": "resnet",
        "training": "unrotated",
        "seed": 0,
        "architecture": "width 8, hidden 16",
        "recipe": "epochs 2, batch size 32",
        "trained on": "a GPU",
        "training time seconds": 90.0,  # not what the last process took
        "measured on": "a CPU",
        "measuring time seconds": 12.5,
    }


def test_a_result_that_says_nothing_of_itself_is_one_sentence(tmp_path: Path) -> None:
    files = [[written(tmp_path, what, {})] for what in ("models", "variance")]
    with pytest.raises(InputError, match=r"does not say its 'configuration': delete both"):
        facts.networks(*files)


def test_jobs_are_summed_by_rule_in_the_order_of_the_workflow(tmp_path: Path) -> None:
    header = "s\th:m:s\tmax_rss\n"
    for name, line in {
        "train/seed=0": "10.5\t0:00:10\t100.4",
        "train/seed=1": "2\t0:00:02\t300",
        "data": "0.5\t0:00:00\t-",
        "another": "7\t0:00:07\t1",
    }.items():
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{header}{line}\n")
    (tmp_path / "train" / "seed=2.tsv").touch()  # of a run that was killed as it wrote this
    table = facts.jobs(tmp_path, ["data", "train", "plot"])
    assert table.to_dict("list") == {
        "rule": ["data", "train"],
        "jobs": [1, 2],
        "seconds": [0.5, 12.5],
        "longest seconds": [0.5, 10.5],
        "memory (MB)": [0, 300],
    }


def figure(classes: Sequence[str] = (), **labels: str) -> page.Figure:
    return page.Figure(Path("a.png"), "a.png", "Heatmaps", "heatmap", labels, "plot_heatmaps", classes)


def test_labels_in_words() -> None:
    titles = figure(dataset="cifar10", model="vgg16", stratum="stratified", aggregation="mean").titles
    assert titles == {"dataset": "CIFAR10", "model": "VGG16", "stratum": "stratified", "aggregation": "mean"}
    assert figure(["daisy", "rose"], dataset="flowers", model="mine", stratum="class_1").titles == {
        "dataset": "flowers",
        "model": "mine",
        "stratum": "class rose",
    }


def test_only_labels_that_differ_get_switches() -> None:
    figures = [
        figure(classes, stratum=stratum, model="vgg16", dataset=dataset, image="0")
        for dataset, classes in (("mnist", ["zero"]), ("cifar10", ["airplane"]))
        for stratum in ("all", "class_0")
    ]
    assert page.switches(figures) == {
        "dataset": {"mnist": "MNIST", "cifar10": "CIFAR10"},
        "stratum": {"all": "all images", "class_0": "class zero"},
    }


def test_prose_knows_a_little_markdown_and_escapes_the_rest() -> None:
    text = "One *word* & **two**,\n`a < b`.\n\n[doi](https://doi.org/1_2) [x](javascript:alert)"
    assert page.prose(text) == (
        "<p>One <em>word</em> &amp; <strong>two</strong>, <code>a &lt; b</code>.</p>\n"
        '<p><a href="https://doi.org/1_2">doi</a> [x](javascript:alert)</p>'
    )


def test_every_caption_has_a_heading_and_two_sentences() -> None:
    for file in (ROOT / "workflow" / "report" / "captions").iterdir():
        heading, text = file.read_text().split("\n", 1)
        assert heading.startswith("# "), file
        assert len(re.findall(r"\.(?:\s|$)", text)) == 2, file
