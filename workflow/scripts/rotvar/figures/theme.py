"""One look for all figures: fonts, sizes, colours, headings, and how a figure is saved."""

import base64
import io
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from itertools import cycle
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from matplotlib.transforms import Bbox
from PIL import Image

from rotvar.catalogue import DATASETS, MODELS
from rotvar.columns import SUMMARY_STRATA
from rotvar.errors import InputError
from rotvar.system.files import atomic

P = ParamSpec("P")
T = TypeVar("T")

STYLE = {
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],  # the first comes with Matplotlib; SVG names them all
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.titlesize": 11,
    "figure.constrained_layout.h_pad": 0.06,  # inches
    "figure.constrained_layout.w_pad": 0.06,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": "#333333",
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "text.parse_math": False,  # a class called $x$ is no formula
    "savefig.dpi": 200,
    "svg.fonttype": "none",  # text stays text: it can be searched and edited, and files are a third
    "svg.hashsalt": "rotvar",  # the same figure is the same file
}

# For Chinese, Japanese and Korean letters, which DejaVu Sans lacks: fonts of Linux and macOS, where they are installed
EASTERN = (
    "Noto Sans CJK JP", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Hiragino Sans",
    "Arial Unicode MS",
)  # fmt: skip

# Okabe and Ito's colours, which colour-blind readers tell apart: two for the trainings, the others for the models.
TRAININGS = {"unrotated": "#D55E00", "rotated": "#0072B2", "untrained": "#767676"}
MODEL_COLOURS = {
    "simple_conv": "#009E73",
    "all_convolutional": "#CC79A7",
    "vgg16": "#E69F00",
    "vgg_like": "#56B4E9",
    "resnet": "#000000",
}
MODEL_MARKERS = {"simple_conv": "o", "all_convolutional": "s", "vgg16": "^", "vgg_like": "v", "resnet": "D"}
_SPARE_MARKERS = "PX*<>phd8H"  # for models that the project does not know
# For names that the project does not know: Tol's muted, then what is farthest from all that stands before it and from
# the trainings' for readers of any colour vision (CIEDE2000 of 10 and more, as Machado et al. 2009 simulate it).
_SPARE = [
    "#882255", "#44AA99", "#999933", "#332288", "#DDCC77",
    "#BBAAFF", "#AA0000", "#FF99BB", "#775544", "#0000EE", "#8877FF", "#997755", "#AA88BB", "#99AA77", "#556677",
]  # fmt: skip

# Published values are this mark wherever they stand beside ours.
PUBLISHED: dict[str, Any] = {"linestyle": "", "marker": "D", "color": "white", "markeredgecolor": "black"}

# The text in a PNG that says which parts of the figure show one training only, as JSON: {training: [left, top, right,
# bottom]}, in shares of the width and the height.
PANELS = "Panels"
_PANEL = "panel of "  # labels the axes of one training

_PAGE = 15.0  # inches of the widest row of panels
_POWERS = 8  # of ten that are written beside a logarithmic axis, at most
LETTERS = 24  # of a training's, data set's or model's name: a panel has room for as many above it

# Inches of a legend in letters of 8 points: of a row, of a letter, and of what an entry has beside its words.
LEGEND_ROW, _LETTER, _BESIDE = 0.19, 0.06, 0.53

STRATUM_LINES: dict[str, Any] = {"all": "-", "stratified": (0, (3, 1.5))}


def themed(draw: Callable[P, T]) -> Callable[P, T]:
    """Draw in the project's style, whatever the caller's is, or a matplotlibrc says; that is left as it was."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> T:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)  # type: ignore[arg-type]
            installed = font_manager.get_font_names()
            mpl.rcParams["font.family"] = ["sans-serif", *(name for name in EASTERN if name in installed)]
            return draw(*args, **kwargs)

    return styled


@themed
def save(figure: Figure, *paths: str | Path) -> None:
    """Save to each path in the format of its suffix (PNG at 200 dpi, SVG, PDF): whole, and the same bytes each time.

    A PNG also says where the panels of each training lie (`PANELS`), so that the report can show one training alone.
    Raises InputError, before anything is saved, for a suffix that names no format.
    """
    formats = figure.canvas.get_supported_filetypes()
    for path in map(Path, paths):
        if path.suffix.removeprefix(".").lower() not in formats:
            raise InputError(f"{path} does not end in a format of figures: end its name in .png, .svg or .pdf.")
    for path in map(Path, paths):
        metadata: dict[str, dict[str, Any]] = {
            ".png": {"Software": None, PANELS: json.dumps(_panels(figure))},
            ".svg": {"Date": None},
            ".pdf": {"CreationDate": None},
        }
        with atomic(path) as temporary:
            figure.savefig(temporary, metadata=metadata.get(path.suffix))
            if path.suffix == ".svg":
                svg = temporary.read_text(encoding="utf-8")
                compact = re.sub(r"(?<=data:image/png;base64,)[^\"]+", _index_colours, svg)
                temporary.write_text(compact, encoding="utf-8")


def trainings(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each training: unrotated, rotated, then others; one named "" for a table without the column."""
    if "training" not in table.columns:
        return {"": table}
    return {name: table[table["training"] == name] for name in in_order(table["training"], TRAININGS)}


def colours(names: Iterable[str], known: dict[str, str]) -> dict[str, str]:
    """The fixed colour of each known name, and spare ones, in order, for the others: no two the same."""
    names = list(names)
    spare = (_darker(colour, 0.6**turn) for turn in range(len(names)) for colour in _SPARE)
    return {name: known[name] if name in known else next(spare) for name in names}


def markers(names: Iterable[str]) -> dict[str, str]:
    """The fixed marker of each known model, and spare ones, in order, for the others."""
    spare = cycle(_SPARE_MARKERS)
    return {name: MODEL_MARKERS[name] if name in MODEL_MARKERS else next(spare) for name in names}


def _darker(colour: str, share: float) -> str:
    red, green, blue = (share * part for part in to_rgb(colour))
    return to_hex((red, green, blue)).upper()


def of_trainings(names: Iterable[str]) -> dict[str, str]:
    """The colours of these trainings, whatever their order and however often they are named."""
    return colours(in_order(pd.Series(list(names), dtype=str), TRAININGS), TRAININGS)


def on(colour: str) -> str:
    """White, or black where white could not be read: the colour of letters on a colour."""
    red, green, blue = (part**2.2 for part in to_rgb(colour))
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.28 else "white"  # luminance; contrast below 3


def dataset_title(name: str) -> str:
    return DATASETS[name].title if name in DATASETS else name


def model_title(name: str) -> str:
    return MODELS.get(name, name)


def trained(training: str, most: int = LETTERS) -> str:
    """What figures call the networks of a training, in `most` letters of its name; nothing for a table that does not
    say."""
    name = shorten(training, most)
    return f"trained {name}" if training and not training.endswith("trained") else name


def training_lines(colours: dict[str, str]) -> list[Line2D]:
    """Legend entries of the trainings that have these colours; none for a table that does not say."""
    return [Line2D([], [], color=colour, linewidth=3, label=trained(name)) for name, colour in colours.items() if name]


def belongs(axes: Axes, training: str) -> None:
    """Say that everything in these axes is of one training."""
    if training:
        axes.set_label(f"{_PANEL}{training}")


def name_training(axes: Axes, training: str, colour: str, seed: str = "", below: str = "") -> None:
    """The title of a panel that shows one training, in its colour: `seed` beside it, and `below` on another line."""
    belongs(axes, training)
    first = ", ".join(filter(None, [trained(training, LETTERS - len(seed)), seed]))
    if title := "\n".join(filter(None, [first, below])):
        axes.set_title(title, color=colour, fontweight="bold", pad=4)


def classes(table: pd.DataFrame, column: str = "stratum") -> list[str]:
    """The class names in a column, in the data set's order: the catalogue's, else that of the rows."""
    names = [str(name) for name in table[column].unique() if name not in SUMMARY_STRATA]
    if "dataset" in table.columns:
        order = DATASETS[dataset].classes if (dataset := str(table["dataset"].iloc[0])) in DATASETS else ()
        if set(names) <= set(order):
            return [name for name in order if name in names]
    return names


def in_order(column: pd.Series, known: Iterable[str]) -> list[str]:
    """The names in the column: the known ones in their order, then the others."""
    present = [str(name) for name in column.unique()]
    known = list(known)
    return [name for name in known if name in present] + sorted(set(present) - set(known))


def shorten(name: str, most: int = 32) -> str:
    """A name that fits: a long one loses its middle, since the ends tell modules apart."""
    if len(name) <= most:
        return name
    return f"{name[: most // 2]}…{name[len(name) - (most - 1) // 2 :]}"


def one(table: pd.DataFrame, *names: str) -> None:
    """Raise InputError unless each of these columns, where present, has one value: the figure shows one network."""
    for name in names:
        values = [str(value) for value in table[name].unique()] if name in table.columns else []
        if len(values) > 1:
            raise InputError(f"The figure shows one {name}, the table holds {', '.join(values)}: select one.")


def choose(table: pd.DataFrame, **chosen: str) -> pd.DataFrame:
    """The rows with these values; InputError, with the values there are, when there is no such row."""
    for name, value in chosen.items():
        present = [str(entry) for entry in table[name].unique()]
        if value not in present:
            raise InputError(f"There is no {name} '{value}' in the table: choose one of {', '.join(present)}.")
        table = table[table[name] == value]
    return table


def of_summaries(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the strata `all` and `stratified`; InputError where there are none."""
    return _some(table, table["stratum"].isin(SUMMARY_STRATA), "stratum all or stratified")


def of_classes(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the strata that are a class; InputError where there are none."""
    return _some(table, ~table["stratum"].isin(SUMMARY_STRATA), "stratum of a class")


def _some(table: pd.DataFrame, chosen: pd.Series, what: str) -> pd.DataFrame:
    if not chosen.any():
        raise InputError(f"There is no {what} in the table: take all strata of the measurement.")
    return table[chosen]


def named(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The table with all of these columns: of one that it lacks, every row has the name ""."""
    return table.assign(**{name: "" for name in columns if name not in table.columns})


def at(table: pd.DataFrame, place: dict[str, str]) -> pd.DataFrame:
    """The rows at this place; a column that the table lacks does not tell rows apart."""
    for name, value in place.items():
        if name in table.columns:
            table = table[table[name] == value]
    return table


def number(value: float, decimals: int = 2, like: float | None = None) -> str:
    """A finite value of 0.01 to 10 with these decimals, and any other with about as many digits: 12.3, 0.0012, 1.2e−4.
    `like` is the value that it stands beside, whose last digit is its last."""
    size = abs(value if like is None else like)
    if 0 < size < 1e-3 or size >= 1e5:
        power = int(f"{size:.{decimals - 1}e}".partition("e")[2])
        text = f"{value / 10.0**power:.{decimals - 1}f}e{power}"
    elif 0 < size < 0.01:
        text = f"{value:.{decimals + 2}f}"
    else:
        text = f"{value:.{max(0, decimals + 1 - len(str(int(size))))}f}"
    return text.replace("-", "−")


def distinct(aggregations: Iterable[str]) -> list[str]:
    """The aggregations without `sum` where there is `mean`: both have the same normalized variance."""
    names = [aggregations] if isinstance(aggregations, str) else [str(name) for name in aggregations]
    return [name for name in names if name != "sum" or "mean" not in names]


def headroom(values: pd.Series) -> float:
    """The upper end of an axis from 0 that shows all finite values with a little room; 1 when there are none."""
    highest = values[np.isfinite(values)].max()
    return 1.08 * float(highest) if highest > 0 else 1.0


def from_zero(axes: Iterable[Axes], values: pd.Series) -> None:
    """Vertical axes on one scale, from 0 to a little above all finite values. Where more than a tenth of those above 0
    are below a thousandth of the highest, it is logarithmic but for a step from 0, and the axes' labels say so."""
    above = values[np.isfinite(values) & (values > 0)]
    far = len(above) > 0 and above.quantile(0.1) < above.max() / 1000
    for one in axes:
        one.set_ylim(0, headroom(values))
        if far:
            _logarithmic(one, float(above.min()), float(above.max()))


def _logarithmic(axes: Axes, low: float, high: float) -> None:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    axes.set_yscale("symlog", linthresh=10.0 ** powers[0], linscale=max(1, 0.1 * len(powers)))
    axes.set_ylim(0, high * 10 ** (0.08 * len(powers)))
    shown = powers[:: math.ceil(len(powers) / _POWERS)]
    names = [f"{10.0**power:g}" if -4 < power < 5 else f"1e{power}".replace("-", "−") for power in shown]
    axes.set_yticks([0, *(10.0**power for power in shown)], ["0", *names], fontsize=7)
    axes.yaxis.set_minor_locator(NullLocator())
    if axes.get_ylabel():
        axes.set_ylabel(f"{axes.get_ylabel()} (log)")


def heading(figure: Figure, table: pd.DataFrame, *details: str) -> None:
    """Data set and model (where the table names them) and what is shown, above the figure."""
    names = []
    for column, title in (("dataset", dataset_title), ("model", model_title)):
        if column in table.columns and table[column].nunique() == 1:
            names.append(shorten(title(str(table[column].iloc[0]))))
    headline(figure, *names, *details)


def headline(figure: Figure, *parts: str) -> None:
    """The parts that say something above the figure, in letters small enough to fit its width."""
    text = "  ·  ".join(filter(None, parts))
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)  # twice as wide as others
    size = min(11.0, 122 * figure.get_figwidth() / max(1, len(text) + wide))  # a letter is about 0.55 of its size wide
    place = {} if figure.get_layout_engine() else {"y": 1 - 0.1 / figure.get_figheight(), "va": "top"}
    figure.suptitle(text, fontsize=size, **place)


def width(texts: Iterable[str], size: float) -> float:
    """The inches that the widest of these texts takes, in letters of so many points."""
    figure = Figure()
    return max(figure.text(0, 0, text, fontsize=size).get_window_extent().width for text in texts) / figure.dpi


def per_row(panels: int, width: float) -> int:
    """How many panels of this width (inches) stand beside each other: in as few rows as a page needs, evenly filled."""
    rows = math.ceil(panels / max(1, int(_PAGE / width)))
    return math.ceil(panels / rows)


def legend(figure: Figure, key: Sequence[Artist], **look: Any) -> None:
    """A legend below the panels, in rows that fit the figure's width; each row after the first makes it higher."""
    if not key:
        return
    columns = legend_columns(key, figure.get_figwidth())
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * (math.ceil(len(key) / columns) - 1))
    figure.legend(handles=key, loc="outside lower center", ncols=columns, **look)


def legend_columns(key: Sequence[Artist], width: float) -> int:
    """How many columns, filled evenly and one after the other, a legend has whose fewest rows fit a width in inches."""
    widths = [_BESIDE + _LETTER * len(str(entry.get_label())) for entry in key]
    counts = (math.ceil(len(key) / rows) for rows in range(1, len(key)))
    return next((count for count in counts if sum(map(max, np.array_split(widths, count))) <= width), 1)


def _panels(figure: Figure) -> dict[str, list[float]]:
    """What `PANELS` says: for each training, the box around all of its axes and what is written beside them."""
    axes = [one for one in figure.axes if str(one.get_label()).startswith(_PANEL)]
    if axes:
        figure.draw_without_rendering()  # a layout engine places the axes only now
    found: dict[str, list[Bbox]] = {}
    for one in axes:
        box = one.get_tightbbox()
        if box is not None:
            found.setdefault(str(one.get_label()).removeprefix(_PANEL), []).append(box)
    places = {}
    for training, boxes in found.items():
        box = Bbox.union(boxes).transformed(figure.transFigure.inverted())
        places[training] = [round(float(edge), 4) for edge in (box.x0, 1 - box.y1, box.x1, 1 - box.y0)]
    return places


def _index_colours(match: re.Match[str]) -> str:
    """A PNG (base64) of few colours with a palette, pixel for pixel the same: a heatmap's at a third of the size."""
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(match[0]))).convert("RGBA"))
    found, indices = np.unique(np.ascontiguousarray(picture).view(np.uint32)[..., 0], return_inverse=True)
    if len(found) > 256:
        return match[0]
    indexed = Image.fromarray(indices.astype(np.uint8).reshape(picture.shape[:2]))
    indexed.putpalette(found.view(np.uint8).tobytes(), rawmode="RGBA")
    buffer = io.BytesIO()
    indexed.save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
