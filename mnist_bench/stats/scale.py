"""From a metric's values to scores of which more is better, and back."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """How a metric's values become scores, and gains become changes of the metric.

    Attributes:
        log: Compare geometric means by their ratio, not means by their difference.
        higher_is_better: The direction of the metric.
    """

    log: bool
    higher_is_better: bool

    def scores(self, values: ArrayLike) -> FloatArray:
        """Returns the values as scores: logged if `log`, negated if lower is better.

        Raises:
            ValueError: If a value is not finite, or not positive on a log scale.
        """
        scores = finite_scores(values)
        if self.log:
            if not np.all(scores > 0):
                raise ValueError(f"a log scale needs values > 0, not {scores.min()}")
            scores = np.log(scores)
        return scores if self.higher_is_better else -scores

    def margin(self, value: float) -> float:
        """Returns a margin on the scale of scores: log(1.05) for 5 % (given as 0.05) if `log`.

        The ratios 1.05 and 1/1.05 are then equally far from 1, as in bioequivalence (FDA 2001,
        "Statistical Approaches to Establishing Bioequivalence").

        Raises:
            ValueError: If the margin is negative or not finite.
        """
        if not 0 <= value < math.inf:
            raise ValueError(f"a margin must be a number >= 0, not {value}")
        return math.log1p(value) if self.log else value

    def value(self, score: ArrayLike) -> FloatArray:
        """Returns the metric's value of a score; of a mean score if `log`, the geometric mean."""
        signed = np.asarray(score, dtype=np.float64) * (1 if self.higher_is_better else -1)
        return (np.exp(signed) if self.log else signed) + 0.0  # no -0

    def change(self, gain: ArrayLike) -> FloatArray:
        """Returns the metric's change from baseline to candidate, as a share (0.05, +5 %) if `log`.

        If lower is better, the higher gain is the lower change: the ends of an interval swap.
        """
        signed = np.asarray(gain, dtype=np.float64) * (1 if self.higher_is_better else -1)
        return (np.expm1(signed) if self.log else signed) + 0.0  # no -0


def finite_scores(values: ArrayLike) -> FloatArray:
    """Returns the values as float64, or raises `ValueError` if one is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError("every value must be finite: a diverged run is a failure, not a sample")
    return array
