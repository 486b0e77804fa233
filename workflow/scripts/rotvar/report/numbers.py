"""Tables as the report shows them: text to read, values to sort by, and the columns that rows can be chosen by."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from rotvar import tables

# Columns that rows can be chosen by
NAMES = ("dataset", "model", "training", "measured_on", "test", "stratum", "aggregation", "kind")


@dataclass(frozen=True)
class Cell:
    text: str
    value: float | str  # sorts by this


@dataclass(frozen=True)
class Column:
    title: str
    numeric: bool
    choices: list[str] = field(default_factory=list)  # what a reader can limit it to, if it names things
    coloured: bool = False  # trainings have their colours


@dataclass(frozen=True)
class Table:
    columns: list[Column]
    rows: list[list[Cell]]

    @property
    def data(self) -> list[list[tuple[str, float | str]]]:
        """The rows as the page's script reads them."""
        return [[(cell.text, cell.value) for cell in row] for row in self.rows]


def table(frame: pd.DataFrame) -> Table:
    """A data frame for the page: as `tables.presentable` shows it, but times in words."""
    shown = tables.presentable(frame)
    columns, cells = [], []
    for name, title in zip(frame.columns, shown.columns, strict=True):
        values, texts = frame[name], [str(text) for text in shown[title]]
        numeric = pd.api.types.is_numeric_dtype(values)
        if name.endswith("seconds"):
            texts, title = [duration(seconds) for seconds in values], name.removesuffix("seconds").strip("_ ") or "time"
        choices = list(dict.fromkeys(texts)) if name in NAMES else []
        choices = choices if len(choices) > 1 else []
        columns.append(Column(title.replace("_", " "), numeric, choices, coloured=name == "training"))
        sorts: list[Any] = texts
        if numeric:
            sorts = [number if pd.notna(number) and np.isfinite(number) else "" for number in values.tolist()]
        cells.append([Cell(text, value) for text, value in zip(texts, sorts, strict=True)])
    return Table(columns, [list(row) for row in zip(*cells, strict=True)])


def duration(seconds: float) -> str:
    """A time in one or two units: "4.2 s", "42 s", "3 min 5 s", "2 h 10 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def summary(accuracy: pd.DataFrame, variance: pd.DataFrame, aggregations: list[str]) -> pd.DataFrame:
    """The study in a row per data set, model and training: accuracy on both test sets, and the global value of all
    test images together for each aggregation. `accuracy` and `variance` are what `tables` makes of a study.
    """
    keys = ["dataset", "model", "training"]
    rows = accuracy[keys].drop_duplicates()
    for test in dict.fromkeys(accuracy["test"]):
        one = accuracy.loc[accuracy["test"] == test, [*keys, "accuracy"]]
        rows = rows.merge(one.rename(columns={"accuracy": f"accuracy, {test} images"}), how="left", on=keys)
    for aggregation in aggregations:
        chosen = (variance["stratum"] == "all") & (variance["aggregation"] == aggregation)
        one = variance.loc[chosen, [*keys, "global_variance"]]
        rows = rows.merge(one.rename(columns={"global_variance": f"global value, {aggregation}"}), how="left", on=keys)
    return rows
