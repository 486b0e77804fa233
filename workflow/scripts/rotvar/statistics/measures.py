"""The measures of a unit, by definition.

For a unit, the n images i of a stratum and R rotations (or other transformations) j, let a(i, j) be its activation;
std and var have n - 1 in the denominator.

    transformation_std = mean over i of std over j of a(i, j)
    sample_std = mean over j of std over i of a(i, j)
    normalized_variance = transformation_std / sample_std      (0/0 = 1)

as in Quiroga et al. 2019, "Measuring (in)variances in Convolutional Networks", doi 10.1007/978-3-030-27713-0_9.

    normalized_distance = sqrt(mean over i of var over j of a(i, j) / mean over j of var over i of a(i, j))  (0/0 = 1)

is the root mean square distance between two versions of one image over that between two images in one version, since
the mean squared difference of all pairs is twice the variance: the distance-based invariance of Quiroga 2021,
"Invariance and same-equivariance measures for convolutional neural networks", doi 10.19153/cleiej.24.1.8, with the
squared Euclidean distance, which one pass over the images gives exactly (tmeasures takes pairs within a batch only).
Images that rotation moves far weigh more in it than in the normalized variance.

    f_statistic = n var over j of m(j) / mean over j of var over i of a(i, j)      (0/0 = 0)
    m(j) = mean over i of a(i, j)

is that of a one-way analysis of variance with the rotations as groups (Fisher 1925, "Statistical methods for research
workers"), a measure of invariance in the library tmeasures: whether the mean over the images depends on the rotation.
A unit that rotation moves up for some images and down for others has a small F and a large normalized variance.

    p_value = P(F(R - 1, R (n - 1)) >= f_statistic)

is corrected by Holm's method (1979, "A simple sequentially rejective multiple test procedure") for all units of a
network: where it is below 0.05, rotation moves the mean of the unit, and the chance that this is wrong of any unit of
the network is below 5 %. The test takes the groups as independent, but they hold the same images; what an image adds
at every rotation counts as noise, so F is too small rather than too large, and the test conservative.

Where a unit has several positions (a map under "spatial"), both stds are averaged over them before their ratio, and so
are the variances in normalized_distance and f_statistic: the distance is then that between whole maps. The sum of
several F is not distributed as F, so there is no p_value. The firing rates are defined in `firing`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special


class Spread(NamedTuple):
    """How far the activations of units vary; 0 where that is rounding."""

    transformation_std: np.ndarray
    sample_std: np.ndarray
    transformation_variance: np.ndarray  # mean over the images of the variance over the rotations
    sample_variance: np.ndarray  # mean over the rotations of the variance over the images
    variance_of_means: np.ndarray  # over the rotations, of the mean over the images


class Statistics(NamedTuple):
    """The measures of the units of one layer in one stratum, with one aggregation; missing (NaN) where not defined."""

    transformation_std: np.ndarray  # units
    sample_std: np.ndarray
    normalized_variance: np.ndarray
    normalized_distance: np.ndarray
    f_statistic: np.ndarray
    p_value: np.ndarray  # of the unit by itself; `holm` corrects those of a network
    local_firing_rate: np.ndarray
    global_firing_rate: np.ndarray

    @staticmethod
    def of(spread: Spread, images: int, rotations: int, positions: int = 1) -> "Statistics":
        """The measures of units whose spread over so many images and rotations is this, averaged over positions."""
        f = quotient(images * spread.variance_of_means, spread.sample_variance, of_zeros=0)
        missing = np.full_like(f, np.nan)
        return Statistics(
            spread.transformation_std,
            spread.sample_std,
            quotient(spread.transformation_std, spread.sample_std, of_zeros=1),
            np.sqrt(quotient(spread.transformation_variance, spread.sample_variance, of_zeros=1)),
            f,
            special.fdtrc(rotations - 1, rotations * (images - 1), f) if positions == 1 else missing,
            missing,
            missing,
        )

    @staticmethod
    def average(strata: Sequence["Statistics"]) -> "Statistics":
        """The mean over the classes of each value; an infinity in one class makes it infinite. There is no p-value."""
        means = Statistics(*(np.mean(values, axis=0) for values in zip(*strata, strict=True)))
        return means._replace(p_value=np.full_like(means.p_value, np.nan))

    def scaled(self, factor: int) -> "Statistics":
        """The measures of the same units times `factor`: both stds scale, everything else stays."""
        return self._replace(transformation_std=factor * self.transformation_std, sample_std=factor * self.sample_std)


def quotient(above: np.ndarray, below: np.ndarray, of_zeros: float) -> np.ndarray:
    """above / below, neither of them negative: x/0 is infinite, 0/0 is `of_zeros`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = above / below
    ratio[(above == 0) & (below == 0)] = of_zeros
    return ratio


def holm(p_values: np.ndarray) -> np.ndarray:
    """The p-values (last axis: tests that are done together) corrected by Holm's method; missing ones stay missing.

    The smallest is multiplied by the number of tests, the next by one less, and so on; none is below the one before it,
    or above 1.
    """
    order = np.argsort(p_values, axis=-1)
    factors = np.arange(p_values.shape[-1], 0, -1)
    ascending = np.take_along_axis(p_values, order, -1) * factors
    corrected = np.empty_like(p_values)
    np.put_along_axis(corrected, order, np.minimum(np.maximum.accumulate(ascending, axis=-1), 1), axis=-1)
    return corrected
