"""One look, and files that are whole, small and the same each time."""

import base64
import io
import json
import re
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from figure_tables import FIVE, emerging, history, retrained, variance
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from rotvar.errors import InputError
from rotvar.figures import scale, theme
from rotvar.figures.classes import by_class
from rotvar.figures.emergence import emergence
from rotvar.figures.heatmap import heatmap
from rotvar.figures.layers import by_layer
from rotvar.figures.retraining import retraining


def noise(layers: int, units: int) -> dict[str, list[float]]:
    random = np.random.default_rng(0)
    return {f"conv{index}": random.lognormal(0, 0.4, units).tolist() for index in range(layers)}


def test_png_is_200_dpi_and_svg_has_text(tmp_path: Path) -> None:
    figure = by_layer(variance(), "mean")
    theme.save(figure, tmp_path / "a.png", tmp_path / "a.svg")
    pixels = Image.open(tmp_path / "a.png").size
    assert pixels == tuple(int(inches * 200) for inches in figure.get_size_inches())
    assert "mean normalized variance</text>" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("name", ["heat", "heat.", "heat.csv", "mnist.v1"])
def test_a_name_without_a_format_is_one_sentence_and_nothing_is_saved(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} does not end in a format of figures: end its name in \.png, \.svg "):
        theme.save(by_layer(variance(), "mean"), tmp_path / "a.png", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def panels(figure: Figure, path: Path) -> dict[str, list[float]]:
    theme.save(figure, path)
    return json.loads(Image.open(path).info[theme.PANELS])


def test_a_png_says_where_each_training_is(tmp_path: Path) -> None:
    """All of its panels, with everything written beside them: nothing but white is between two trainings."""
    places = panels(heatmap(variance(), "all", "mean"), tmp_path / "a.png")
    assert list(places) == ["unrotated", "rotated"]
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("L"))
    height, width = pixels.shape
    for left, top, right, bottom in places.values():
        inside = pixels[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
        assert (inside < 255).any(axis=0).mean() > 0.7
    between = pixels[int(0.2 * height) : int(0.8 * height), int(places["unrotated"][2] * width) + 2 :]
    assert (between[:, : int(places["rotated"][0] * width) - int(places["unrotated"][2] * width) - 3] == 255).all()


def test_a_figure_that_shows_the_trainings_together_has_no_panels(tmp_path: Path) -> None:
    assert panels(by_layer(variance(), "mean"), tmp_path / "a.png") == {}


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_figure_is_the_same_file(tmp_path: Path, suffix: str) -> None:
    for name in ["a", "b"]:
        theme.save(heatmap(variance(), "all", "mean"), (tmp_path / name).with_suffix(suffix))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_heatmaps_svg_is_small_and_its_picture_exact(tmp_path: Path) -> None:
    figure = heatmap(variance({"unrotated": noise(40, 512), "rotated": noise(40, 512)}), "all", "mean")
    theme.save(figure, tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size < 300_000
    encoded = re.findall(r"data:image/png;base64,([^\"]+)", (tmp_path / "a.svg").read_text())
    embedded = Image.open(io.BytesIO(base64.b64decode(encoded[0].replace("\n", ""))))
    image = figure.axes[0].get_images()[0]
    expected = image.to_rgba(image.get_array(), bytes=True)
    shown = np.asarray(embedded.convert("RGBA"))
    assert shown.shape == expected.shape == (512, 40, 4)
    assert (shown == expected).all() or (shown == expected[::-1]).all()


def test_the_callers_style_is_left_alone() -> None:
    before = dict(mpl.rcParams)
    by_layer(variance(), "mean")
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_matplotlibrc_changes_nothing(suffix: str, tmp_path: Path) -> None:
    for name, own in {"without": {}, "with": {"text.usetex": True, "axes.grid": True, "lines.linestyle": ":"}}.items():
        with mpl.rc_context(own):
            theme.save(by_layer(variance(), "mean"), tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"with{suffix}").read_bytes() == (tmp_path / f"without{suffix}").read_bytes()


def test_letters_that_the_font_lacks_come_from_another_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Chinese ones from a font of the system; here one of the phonetic alphabet from Matplotlib's own STIX."""
    class_name = "\N{LATIN SMALL LETTER D WITH PALATAL HOOK}"
    table = variance(strata=["all", class_name])
    monkeypatch.setattr(theme, "EASTERN", ("Not Installed",))
    with pytest.warns(UserWarning, match="missing from font"):
        by_class(table, "mean").draw_without_rendering()
    monkeypatch.setattr(theme, "EASTERN", ("Not Installed", "STIXGeneral"))
    with warnings.catch_warnings(action="error"):
        by_class(table, "mean").draw_without_rendering()
    assert caplog.records == []  # nothing is said of what is not installed


def test_colours_are_fixed_for_known_names_and_different_for_others() -> None:
    colours = theme.colours(["upright", "rotated", "mirrored"], theme.TRAININGS)
    assert colours["rotated"] == theme.TRAININGS["rotated"]
    assert len(set(colours.values()) | set(theme.TRAININGS.values())) == len(theme.TRAININGS) + 2
    assert len({*theme.TRAININGS.values(), *theme.MODEL_COLOURS.values()}) == 8


def test_no_two_names_have_the_same_colour() -> None:
    names = [*theme.TRAININGS, *(f"training {number}" for number in range(40))]
    assert len(set(theme.colours(names, theme.TRAININGS).values())) == len(names)


# What readers without one kind of cones see of linear red, green and blue: Machado, Oliveira and Fernandes (2009).
VISIONS = {
    "all three": np.eye(3),
    "red missing": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "green missing": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "blue missing": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


@pytest.mark.parametrize("cones", VISIONS)
def test_readers_of_any_colour_vision_tell_eighteen_trainings_apart(cones: str) -> None:
    names = [*theme.TRAININGS, *(f"training {number}" for number in range(15))]
    colours = np.array([to_rgb(colour) for colour in theme.colours(names, theme.TRAININGS).values()])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(VISIONS[cones]), 0, 1)
    x, y, z = np.cbrt(seen @ [[0.434, 0.213, 0.018], [0.376, 0.715, 0.109], [0.190, 0.072, 0.873]]).T
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)  # CIE L*a*b*
    apart = np.linalg.norm(lab[:, None] - lab, axis=2) + 1000 * np.eye(len(names))
    assert apart.min() > 11


def test_letters_can_be_read_on_every_colour_of_a_training() -> None:
    def luminance(colour: str) -> float:  # of WCAG 2
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
        return float(np.dot([0.2126, 0.7152, 0.0722], parts))

    names = [*theme.TRAININGS, *(f"training {number}" for number in range(30))]
    for colour in theme.colours(names, theme.TRAININGS).values():
        lighter, darker = sorted([luminance(colour), luminance(theme.on(colour))], reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) > 3


def test_trainings_are_in_order_unrotated_first() -> None:
    table = variance({name: {"conv": [1.0]} for name in ["slightly", "rotated", "unrotated"]})
    assert list(theme.trainings(table)) == ["unrotated", "rotated", "slightly"]


def test_a_long_headline_fits_the_figure() -> None:
    figure = Figure(figsize=(4, 3))
    theme.headline(figure, "m" * 30 + "i" * 70)
    figure.draw_without_rendering()
    extent = figure.texts[0].get_window_extent()
    assert extent.x0 > 0
    assert extent.x1 < figure.bbox.x1


def test_a_training_has_one_colour_in_all_figures() -> None:
    table = variance({name: {"conv": [1.0]} for name in FIVE}, ["all", "stratified", "cat"])
    lines = [to_hex(line.get_color()).upper() for line in by_layer(table, "mean").axes[0].lines[::2]]
    titles = [to_hex(axes.title.get_color()).upper() for axes in heatmap(table, "all", "mean").axes[:5]]
    assert titles == lines == list(theme.colours(FIVE, theme.TRAININGS).values())


def test_a_training_has_the_same_colour_in_figures_that_do_not_show_all_trainings() -> None:
    study = ["unrotated", "rotated", "random_weights", "shifted"]
    colour = theme.colours(study, theme.TRAININGS)["shifted"]
    means = emerging(variance({name: {"conv": [1.0]} for name in study if name != "random_weights"}))
    assert emergence(means, history(), "mean", study=study).axes[2].title.get_color() == colour
    values = retrained({"conv": "convolution"}).assign(retrained="shifted")
    key = retraining(values, study).legends[0].legend_handles
    assert key[-1].get_color() == colour  # trained shifted from the start


@pytest.mark.parametrize(
    ("panels", "width", "beside"), [(1, 4, 1), (2, 7, 2), (3, 4, 3), (4, 4, 2), (5, 4, 3), (5, 7, 2), (3, 20, 1)]
)
def test_panels_that_are_wider_together_than_a_page_stand_in_rows_evenly_filled(
    panels: int, width: float, beside: int
) -> None:
    assert theme.per_row(panels, width) == beside  # a page is 15 inches wide


@pytest.mark.parametrize(("entries", "columns"), [(0, 1), (1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (7, 3), (17, 3)])
def test_a_legend_has_the_fewest_rows_that_fit_evenly_filled(entries: int, columns: int) -> None:
    key = [Patch(label="about an inch wide") for _ in range(entries)]  # 1.08 inches, and 0.53 beside it
    assert theme.legend_columns(key, 5.0) == columns


@pytest.mark.parametrize("label", ["a", "trained rotated", "trained rotated, then turned and mirrored"])
@theme.themed
def test_a_legend_of_several_rows_is_inside_the_figure_and_takes_nothing_from_the_panels(label: str) -> None:
    heights = []
    for entries in (1, 9):
        figure = Figure(figsize=(4, 3), layout="constrained")
        figure.subplots()
        theme.legend(figure, [Patch(label=label) for _ in range(entries)])
        figure.draw_without_rendering()
        extent = figure.legends[0].get_window_extent()
        assert 0 <= extent.x0 < extent.x1 <= figure.bbox.x1
        heights.append(figure.axes[0].get_window_extent().height / figure.dpi)
    assert heights[1] >= heights[0]


def test_a_legend_of_nothing_is_none() -> None:
    theme.legend(figure := Figure(), [])
    assert not figure.legends


@pytest.mark.parametrize(
    ("values", "end"),
    [([1, 2, 3, 4, 5], 9.0), ([1, 2, 3, 4, 5, np.inf, np.nan], 9.0), ([2, 2, 2], 2.0), ([0, 0], 1.0), ([], 1.0)],
)
def test_where_a_scale_ends(values: list[float], end: float) -> None:
    assert scale.top(values) == end


def test_the_marks_are_far_from_every_colour_of_the_scale() -> None:
    colours = scale._map()(np.linspace(0, 1, 32))[:, :3]
    for mark in [scale.ABOVE, scale.INFINITE, scale.MISSING]:
        distance = np.abs(colours - mpl.colors.to_rgb(mark)).sum(axis=1)
        assert distance.min() > 0.45


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (0.01, "0.01"),
        (1.0, "1.00"),
        (9.994, "9.99"),
        (12.345, "12.3"),
        (999.6, "1000"),
        (12345.67, "12346"),
        (123456.7, "1.2e5"),
        (0.00423, "0.0042"),
        (0.000996, "1.0e−3"),
        (1.4e-45, "1.4e−45"),
    ],
)
def test_a_number_has_some_digits_whatever_its_size(value: float, text: str) -> None:
    assert theme.number(value) == text


def test_a_number_ends_where_the_one_beside_it_does() -> None:
    sizes = [0.5, 0.0005, 50.0, 5e6]
    assert [theme.number(1e-17, 3, like=size) for size in sizes] == ["0.000", "0.00e−4", "0.00", "0.00e6"]


@pytest.mark.parametrize(
    ("training", "called"),
    [
        ("rotated", "trained rotated"),
        (26 * "r", f"trained {12 * 'r'}…{11 * 'r'}"),
        ("untrained", "untrained"),
        ("pretrained", "pretrained"),
        ("", ""),
    ],
)
def test_a_training_is_called_by_its_name(training: str, called: str) -> None:
    assert theme.trained(training) == called
