"""Maps of one image, angle by angle."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text

from rotvar.errors import InputError
from rotvar.figures.feature_maps import feature_maps
from rotvar.questions.feature_maps import COLUMNS, INPUT, LEAST, MOST


def channel(layer: str, index: int, unit: int, choice: str, maps: np.ndarray, value: float = np.nan) -> pd.DataFrame:
    """The rows of one channel's maps, R x H x W, at 0, 90, ... degrees."""
    places = np.indices(maps.shape).reshape(3, -1)
    return pd.DataFrame({
        "layer": layer, "layer_index": index, "kind": "convolution", "unit": unit, "choice": choice,
        "normalized_variance": value, "angle": 90.0 * places[0] - 90, "y": places[1], "x": places[2],
        "activation": maps.ravel(),
    })[COLUMNS]  # fmt: skip


def maps(count: int = 2, size: int = 3, start: float = 0.0) -> np.ndarray:
    return start + np.arange(count * size**2, dtype=np.float64).reshape(count, size, size)


def table(**partitions: object) -> pd.DataFrame:
    """A grey image, two channels of a layer and one of another."""
    parts = [
        channel(INPUT, -1, 0, INPUT, maps(size=6)),
        channel("conv1", 0, 7, MOST, maps(start=-3), 0.25),
        channel("conv1", 0, 2, LEAST, maps(start=10), 1.5),
        channel("conv2", 4, 1, MOST, maps(size=2), 0.5),
    ]
    names = {"dataset": "mnist", "model": "vgg16", "training": "rotated", "seed": 0, "image": 3, "class": "4 - four"}
    return pd.concat(parts).assign(**(names | partitions))


def drawn(figure: Figure) -> list[AxesImage]:
    """Every map, from the top."""
    return [image for axes in figure.axes for image in axes.get_images()]


def written(figure: Figure) -> list[Text]:
    return [text for axes in figure.axes for text in axes.texts]


def test_a_row_for_each_channel_and_a_column_for_each_angle() -> None:
    figure = feature_maps(table())
    images = drawn(figure)
    assert len(images) == 4 * 2  # rows, angles
    expected = [*maps(size=6), *maps(start=-3), *maps(start=10), *maps(size=2)]
    for image, picture in zip(images, expected, strict=True):
        np.testing.assert_array_equal(image.get_array(), picture)
    lefts = {round(image.get_extent()[0], 6) for image in images}
    tops = {round(image.get_extent()[3], 6) for image in images}
    assert (len(lefts), len(tops)) == (2, 4)
    assert figure.get_suptitle() == "MNIST  ·  VGG16  ·  feature maps  ·  test image 3  ·  class 4 - four"


def test_each_row_has_its_own_scale_and_says_it() -> None:
    figure = feature_maps(table())
    limits = [image.get_clim() for image in drawn(figure)][::2]
    assert limits == [(0, 71), (-3, 14), (10, 27), (0, 7)]
    words = [text.get_text() for text in written(figure)]
    assert words[:5] == ["−90°", "0°", "input", "trained rotated", "normalized variance"]
    assert words[5:8] == ["conv1, channel 7", "most invariant: 0.25", "−3 to 14"]
    assert words[8:11] == ["conv1, channel 2", "least invariant: 1.50", "10 to 27"]


def test_values_near_0_are_not_0() -> None:
    both = pd.concat([channel(INPUT, -1, 0, INPUT, maps(size=6)), channel("conv1", 0, 7, MOST, maps(), 3e-4)])
    assert "most invariant: 3.0e−4" in [text.get_text() for text in written(feature_maps(both))]


def test_trainings_share_the_input_and_stand_one_above_the_other() -> None:
    both = pd.concat([table(), table(training="unrotated")])
    figure = feature_maps(both)
    assert len(drawn(figure)) == (1 + 3 + 3) * 2
    texts = {text.get_text(): text.get_position()[1] for text in written(figure)}
    heads = {words: place for words, place in texts.items() if words.startswith("trained")}
    assert list(heads) == ["trained unrotated", "trained rotated"]
    assert heads["trained unrotated"] < heads["trained rotated"]  # from the top


def test_a_colour_image_is_in_colour() -> None:
    grey = table()
    bright = [channel(INPUT, -1, unit, INPUT, np.full((2, 6, 6), unit / 2)) for unit in range(3)]
    colour = pd.concat([*bright, grey[grey["layer"] != INPUT][COLUMNS]])
    picture = drawn(feature_maps(colour))[0].get_array()
    assert picture.shape == (6, 6, 3)
    assert picture[0, 0].tolist() == [0, 0.5, 1]


def test_one_network_and_image() -> None:
    with pytest.raises(InputError, match="The figure shows one image, the table holds 3, 4: select one"):
        feature_maps(pd.concat([table(), table(image=4)]))


@pytest.mark.parametrize(
    "rows",
    [
        channel("conv1", 0, 7, MOST, np.zeros((2, 3, 3)), 0.0),  # it does not respond to this image
        channel("conv1", 0, 7, MOST, maps(size=2)[:, :, :1], 0.0),  # higher than wide
        channel("layer4.0.downsample.0." * 4, 0, 2047, LEAST, maps(start=-1e5), 1234.5),
        pd.DataFrame(columns=COLUMNS),  # no channel responds
    ],
    ids=["constant", "narrow", "long names", "input alone"],
)
def test_degenerate_tables_stay_inside_the_figure(rows) -> None:
    picture = channel(INPUT, -1, 0, INPUT, maps(size=6))
    given = pd.concat([picture, rows]) if len(rows) else picture
    figure = feature_maps(given.assign(**{"class": "x" * 40}))
    figure.draw_without_rendering()
    width, height = figure.bbox.width, figure.bbox.height
    for text in figure.findobj(lambda artist: hasattr(artist, "get_text") and artist.get_text()):
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
