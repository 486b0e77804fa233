"""Which differences between layer means are real: intervals from a bootstrap over the images, and the smallest
difference that so many seeds and images show.

A layer mean of S seeds, measured on N images, varies with both:

    v(S, N) = between^2 / S + by_images^2 N0 / N

where between is the std over the seeds (n - 1) and by_images that of the mean over the seeds over replicates of N0
images, whose variance falls as 1/N. Two trainings whose means vary so, and independently, differ visibly if they do by
at least

    difference = (z(1 - (1 - confidence) / 2) + z(power)) sqrt(2 v(S, N))

where z is the normal distribution's quantile: a two-sided test at that confidence then finds the difference with that
probability (Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", chapter 2, with the normal
distribution for t's). Solved for S and N, it says how many are needed. A std over few seeds is itself uncertain: with
fewer than ten, more are needed than this says. The rest errs upwards: a little of the images' part is in the std over
the seeds as well, and trainings that are measured on the same images share some of it.
"""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd

LAYER = ["layer_index", "layer", "kind", "aggregation"]


def smallest(variance: float, confidence: float, power: float) -> float:
    """The smallest visible difference between two means that each vary by `variance`."""
    return _quantiles(confidence, power) * math.sqrt(2 * variance)


def needed(
    difference: float, between: float, by_images: float, images: int, confidence: float, power: float
) -> tuple[int | None, int | None]:
    """How many seeds and images together make `difference` visible, given `between` and `by_images` of so many images.

    Seeds are counted first, with the images that there are, or, where those leave them less than half of the variance
    that a mean may have, with that half; then as few images as suffice. Without a `between` (NaN) the seeds are None,
    and the images leave them nothing.
    """
    most = 0.5 * (difference / _quantiles(confidence, power)) ** 2  # that v may be
    if math.isnan(between):
        return None, _whole(images * by_images**2 / most, 2)
    share = min(by_images**2, most / 2)
    seeds = _whole(between**2 / (most - share), 1)
    if seeds is None or not share:
        return seeds, None if seeds is None else 2
    return seeds, _whole(
        images * by_images**2 / max(share, most - between**2 / seeds), 2
    )  # but for rounding, the latter


def summarize(values: pd.DataFrame, confidence: float, power: float, difference: float) -> pd.DataFrame:
    """What the replicates of `stability.measure` say of each layer, the seeds together.

    Columns: those of `dataset`, `model` and `training` that `values` has, layer_index, layer, kind, aggregation, seeds,
    images (N0), normalized_variance (the mean over the seeds of the images as they are), low and high (the percentile
    interval of the mean over the seeds; Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13),
    std (between the seeds), image_std (of the mean over the seeds, over the replicates), smallest_difference (visible
    with these seeds and images), seeds_needed and images_needed, which together make `difference` visible. Missing: std
    and seeds_needed of one seed, of which smallest_difference and images_needed know the images' part alone; everything
    of a layer without finite units.
    """
    places = [name for name in ("dataset", "model", "training") if name in values.columns]
    rows = []
    for place, layer in values.groupby([*places, *LAYER], observed=True, sort=False):
        by_seed = layer.assign(seed=layer.get("seed", 0)).pivot(
            index="replicate", columns="seed", values="normalized_variance"
        )
        table = by_seed.sort_index().to_numpy(np.float64)  # replicates, the images as they are first, x seeds
        table = table[:, np.isfinite(table[0])]
        samples, drawn = table[0], table[1:].mean(axis=1) if table.size else table[0]
        drawn = drawn[np.isfinite(drawn)]
        tail = (1 - confidence) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail]) if len(drawn) else (np.nan, np.nan)
        images, between, by_images = int(layer["images"].max()), _std(samples), _std(drawn)
        known = 0.0 if np.isnan(between) else between**2 / len(samples)
        visible = smallest(known + by_images**2, confidence, power)
        needs = needed(difference, between, by_images, images, confidence, power)
        mean = samples.mean() if len(samples) else math.nan
        rows.append((*place, len(samples), images, mean, low, high, between, by_images, visible, *needs))
    found = ["seeds", "images", "normalized_variance", "low", "high", "std", "image_std", "smallest_difference"]
    summary = pd.DataFrame(rows, columns=[*places, *LAYER, *found, "seeds_needed", "images_needed"])
    return summary.astype({"seeds_needed": "Int64", "images_needed": "Int64"})


def _quantiles(confidence: float, power: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2) + NormalDist().inv_cdf(power)


def _std(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _whole(number: float, least: int) -> int | None:
    """A number of samples, rounded up; none for one that is missing or beyond all measure."""
    return max(least, math.ceil(number)) if number < 2**53 else None
