"""The page of the report: figures by category with switches, tables, what was run, and how."""

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from rotvar.figures import theme
from rotvar.report import pictures
from rotvar.report.numbers import Table

ROWS = 200  # of a long table on the page at a time; what it is sorted and limited by chooses which

# What the labels of figures are called, in the order of their switches.
TITLES = {
    "dataset": "data set",
    "model": "model",
    "training": "training",
    "seed": "seed",
    "aggregation": "aggregation",
    "stratum": "stratum",
}


@dataclass(frozen=True)
class Figure:
    """A PNG of the study, with what the report says of it.

    `labels` tell the figures of one kind apart (dataset, model, aggregation ...): each label that has several values
    gets a switch. `caption` names the file with its caption, `rule` the rule that drew it, and `link` is where the PNG
    lies as seen from the report; the SVG lies beside it. `classes` are the names of the data set's classes, where the
    stratum may be one of them.
    """

    path: Path
    link: str
    category: str
    caption: str
    labels: Mapping[str, str]
    rule: str
    classes: Sequence[str] = ()

    @property
    def titles(self) -> dict[str, str]:
        """The labels in words."""
        return {name: _words(name, value, self.classes) for name, value in self.labels.items()}


@dataclass(frozen=True)
class Download:
    """A table of the study: its caption (a name), itself, its CSV file (.md and .tex beside it), the report's folder.

    The report holds the CSV, so that it can be had from a report that was sent alone.
    """

    caption: str
    table: Table
    csv: Path
    folder: Path

    @property
    def links(self) -> list[str]:
        return [self.csv.with_suffix(end).relative_to(self.folder).as_posix() for end in (".csv", ".md", ".tex")]

    @property
    def uri(self) -> str:
        """The CSV itself; empty where it is longer than what browsers save (Chromium: 2 MB)."""
        uri = "data:text/csv;base64," + base64.b64encode(self.csv.read_bytes()).decode()
        return uri if len(uri) < 2_000_000 else ""


def render(
    template: str | Path,
    figures: Sequence[Figure],
    first: Sequence[Figure],
    tables: Sequence[Download],
    captions: Mapping[str, str],
    **facts: Any,
) -> str:
    """The report as HTML, from a Jinja2 template with `report.css` and `report.js` beside it.

    `first` are the figures of the landing page. `captions` are texts in the Markdown of `prose`, by name: a heading and
    paragraphs. `facts` go to the template as they are; whatever is not Markup is escaped.
    """
    template = Path(template)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    environment.filters["anchor"] = anchor
    script = template.with_name("report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template.name).render(
        style=Markup(template.with_name("report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        # The page may load nothing, and run no script but its own.
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        trainings=theme.TRAININGS,
        categories=_categories(figures),
        first=first,
        tables=tables,
        headings={name: _split(text)[0] for name, text in captions.items()},
        texts={name: _split(text)[1] for name, text in captions.items()},
        embed=pictures.embed,
        rows_shown=ROWS,
        titles=TITLES,
        switches=switches,
        trained=trained,
        **facts,
    )


def switches(figures: Sequence[Figure]) -> dict[str, dict[str, str]]:
    """The labels by which figures of one kind differ, each with its values and what they are called."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for figure in figures:
        for name, words in figure.titles.items():
            found[name].setdefault(figure.labels[name], words)
    names = [name for name in TITLES if name in found] + [name for name in found if name not in TITLES]
    return {name: found[name] for name in names if len(found[name]) > 1}


def trained(figures: Sequence[Figure]) -> list[str]:
    """The trainings that have panels of their own in figures of one kind; none where there is nothing to choose."""
    names = list(dict.fromkeys(training for figure in figures for training in pictures.embed(figure.path).panels))
    return names if len(names) > 1 else []


def prose(text: str) -> Markup:
    """Paragraphs with *emphasis*, **strong**, `code` and [links](https://...); everything else is escaped."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        html = str(escape(" ".join(paragraph.split())))
        html = re.sub(r"\[([^\]]+)\]\((https://[^)\s]+)\)", r'<a href="\2">\1</a>', html)
        html = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", html)
        html = re.sub(r"\*([^*]+)\*", r"<em>\1</em>", html)
        html = re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
        paragraphs.append(f"<p>{html}</p>")
    return Markup("\n".join(paragraphs))


def anchor(text: str) -> str:
    """A name for a place in the page."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _categories(figures: Iterable[Figure]) -> dict[str, dict[str, list[Figure]]]:
    """Figures by category and, in it, by kind: those that share a caption."""
    found: dict[str, dict[str, list[Figure]]] = defaultdict(lambda: defaultdict(list))
    for figure in figures:
        found[figure.category][figure.caption].append(figure)
    return found


def _split(caption: str) -> tuple[str, str]:
    """The heading of a caption, and its text."""
    heading, _, text = caption.strip().partition("\n")
    return heading.lstrip("# "), text


def _words(name: str, value: str, classes: Sequence[str]) -> str:
    if name == "dataset":
        return theme.dataset_title(value)
    if name == "model":
        return theme.model_title(value)
    if name == "stratum" and (number := re.fullmatch(r"class_(\d+)", value)):
        return f"class {classes[int(number[1])]}"
    return {"all": "all images"}.get(value, value) if name == "stratum" else value
