"""When is a difference a difference, and when does a sentence hold? The one rule of notebook 07.

A measure of one trained model is ten values, one for each tenth of the test images (`comparison`).
Two models are compared over paired seeds; seeds and images are resampled together. The rule was
written down before anything was recorded (``benchmarks/study.py``).
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

LEVEL = 0.05  # of all tests of one question together (Holm)


class Effect(NamedTuple):
    """A mean difference over n paired seeds, its standard error, 95 % interval and p value."""

    mean: float
    error: float
    low: float
    high: float
    p: float
    n: int


def bootstrap_variance(values: np.ndarray) -> float:
    """Return the variance of the mean of values [n, B] if rows and columns are resampled together.

    n seeds and B blocks of images are drawn with replacement, independently, and the mean is taken
    over the drawn rows and columns (the pigeonhole bootstrap, Owen 2007, Annals of Applied
    Statistics 1(2)). With x_ij = m + a_i + b_j + e_ij, where a, b and e have mean 0 in each row and
    column, the variance over infinitely many draws is::

        sum a_i^2 / n^2 + sum b_j^2 / B^2 + sum e_ij^2 / (n B)^2.

    As in any bootstrap each part is too small by (n - 1) / n or (B - 1) / B on average; that is put
    right here. It counts chance that belongs to seed and image together up to three times, so it
    errs on the side of caution. Raises ValueError for fewer than two rows or columns.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"values have shape {values.shape}, expected [n, B] with n, B >= 2.")
    n, blocks = values.shape
    mean, rows, columns = values.mean(), values.mean(axis=1), values.mean(axis=0)
    rest = values - rows[:, None] - columns + mean
    return float(
        ((rows - mean) ** 2).sum() / (n * (n - 1))
        + ((columns - mean) ** 2).sum() / (blocks * (blocks - 1))
        + (rest**2).sum() / (n * blocks * (n - 1) * (blocks - 1))
    )


def effect(ours: np.ndarray, theirs: np.ndarray | float = 0.0) -> Effect:
    """Return the mean of ours - theirs, both [n seeds, B blocks], row by row of one seed.

    The interval is Student's, with as many degrees of freedom as the fewer of seeds and blocks
    allow. With fewer than two seeds there is no interval: it is infinite, and p is 1. Raises
    ValueError for fewer than two blocks.
    """
    difference = np.asarray(ours, dtype=float) - theirs
    n, mean = len(difference), float(difference.mean()) if difference.size else math.nan
    if n < 2:
        return Effect(mean, math.inf, -math.inf, math.inf, 1.0, n)
    error = math.sqrt(bootstrap_variance(difference))
    freedom = min(difference.shape) - 1
    half = float(stdtrit(freedom, 0.975)) * error  # Student's t, as scipy.stats.t computes it
    t = abs(mean) / error if error > 0 else (math.inf if mean else 0.0)
    p = float(2 * stdtr(freedom, -t))
    return Effect(mean, error, mean - half, mean + half, p, n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's (1979) adjusted p values: a test may be called below 0.05 if its value is.

    The chance that any true null hypothesis among them is then rejected is at most 0.05, however
    the tests depend on each other.
    """
    order = np.argsort(p_values)
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


def outcome(effect: Effect, p: float, matters: float, lower_is_better: bool = False) -> str:
    """Return "better", "worse", "alike", "open" or "missing" for one comparison.

    `p` is the adjusted p value, `matters` the smallest effect that matters, chosen beforehand.
    "better" and "worse": p below 0.05, and an effect of at least that size. "alike": the 95 %
    interval lies within that size to both sides of 0. "open": neither; more seeds are needed.
    "missing": there are fewer than two seeds.
    """
    if effect.n < 2:
        return "missing"
    if -matters < effect.low and effect.high < matters:
        return "alike"
    if p < LEVEL and abs(effect.mean) >= matters:
        return "better" if (effect.mean < 0) == lower_is_better else "worse"
    return "open"


def verdict(outcomes: Iterable[str]) -> str:
    """Return the word for a sentence that claims "better", from the outcomes of its comparisons.

    "HOLDS": better in every one. "HOLDS IN PART": better in some, worse in none; the comparisons
    and conditions in which it is better have to be named. "DOES NOT HOLD": worse in at least one,
    whatever the others are, or all alike. "NOT SHOWN": better and worse in none, and some open.
    What is missing is not judged; "NOT RECORDED" if that is all.
    """
    outcomes = [outcome for outcome in outcomes if outcome != "missing"]
    if not outcomes:
        return "NOT RECORDED"
    if "worse" in outcomes:
        return "DOES NOT HOLD"
    if "better" in outcomes:
        return "HOLDS" if set(outcomes) == {"better"} else "HOLDS IN PART"
    return "DOES NOT HOLD" if set(outcomes) == {"alike"} else "NOT SHOWN"
