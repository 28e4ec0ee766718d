"""The record of notebook 09's small models: the settings and verdicts that are taken from it.

``benchmarks/previews.py`` makes the record and says how. The rule of the verdicts is that of
notebook 07 (`verdicts`), over the seeds that both rows have: they were paired, because each seed
has its own half of the real images for all models.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from lecture_utils import records, verdicts

import numpy as np
from scipy import stats

GAIN, FRECHET = "gain (nats)", "frechet"
GREY, TORN, APART = "grey", "in pieces", "total variation"
# The smallest differences that matter, as in 07; of shares two percentage points, 100 images.
MATTERS = {GAIN: 1.0, FRECHET: 2.0, GREY: 0.02, TORN: 0.02, APART: 0.02}
CHOOSES = {"mixture": (GAIN, max), "diffusion": (GAIN, max), "GAN": (FRECHET, min)}


class Row(NamedTuple):
    """What was recorded with each seed: a part of the record, and a setting of it."""

    part: str
    setting: str


class Claim(NamedTuple):
    """Does one row differ from another by a measure?"""

    measure: str
    ours: Row
    theirs: Row


class Record:
    """The recorded runs; `content` is what `records.load("previews")` returns."""

    def __init__(self, content: dict | None = None):
        content = records.load("previews") if content is None else content
        self._runs, self._settings = content["runs"], content["settings"]

    def values(self, row: Row, measure: str, images: str = "test") -> np.ndarray:
        """Return a measure by seed, [n]; `images` are "test" or "held out" (for the settings).

        Raises KeyError for what was not recorded.
        """
        return np.array([run[images][measure] for run in self._runs[row.part][row.setting]])

    def ring(self) -> dict[str, list[dict]]:
        """Return {setting: [one dictionary a seed]} of the models of a ring of eight clusters:
        "shares" are `toy_data.ring_shares` of their draws, "contrast" is `ring_contrast`."""
        return self._runs["ring"]

    def rows(self, part: str) -> list[Row]:
        """Return the recorded rows of a part: one for each setting."""
        return [Row(part, setting) for setting in self._runs[part]]

    def too_long(self, row: Row) -> bool:
        """Return whether a setting takes longer than the notebook has."""
        return row.setting in self._settings["too long for the notebook"]

    def options(self, row: Row) -> dict:
        """Return what a setting stands for, as options of the function that trains."""
        return dict(self._settings[row.part][row.setting])

    def chosen(self, part: str, however_long: bool = False) -> Row:
        """Return the setting that is best on held-out training images, in the mean over seeds.

        Of "mixture" and "diffusion" by the gain, of "GAN" by the Fréchet distance; among those that
        the notebook has time for, unless `however_long`.
        """
        measure, best = CHOOSES[part]
        rows = [row for row in self.rows(part) if however_long or not self.too_long(row)]
        return best(rows, key=lambda row: self.values(row, measure, "held out").mean())

    def effect(self, claim: Claim) -> verdicts.Effect:
        """Return ours - theirs on test images over paired seeds, with Student's interval.

        With fewer than two seeds there is no interval: it is infinite, and p is 1.
        """
        ours, theirs = (self.values(row, claim.measure) for row in claim[1:])
        n = min(len(ours), len(theirs))
        difference = ours[:n] - theirs[:n]
        if n < 2:
            mean = float(difference.mean()) if n else math.nan
            return verdicts.Effect(mean, math.inf, -math.inf, math.inf, 1.0, n)
        test = stats.ttest_1samp(difference, 0.0)
        low, high = test.confidence_interval(0.95)
        error = float(difference.std(ddof=1)) / math.sqrt(n)
        p = float(np.nan_to_num(test.pvalue, nan=1.0))  # no difference with any seed
        return verdicts.Effect(float(difference.mean()), error, float(low), float(high), p, n)


class Judged(NamedTuple):
    """A claim with its effect and the outcome: "more", "less", "alike", "open" or "missing"."""

    claim: Claim
    effect: verdicts.Effect
    outcome: str


def answer(record: Record, claims: Sequence[Claim]) -> list[Judged]:
    """Judge the claims of one question, with Holm's correction over all of them.

    "more" and "less" say that ours has more or less of the measure than theirs, not that it is
    better: that depends on the measure.
    """
    effects = [record.effect(claim) for claim in claims]
    adjusted = verdicts.holm([effect.p for effect in effects])
    found = [
        verdicts.outcome(effect, p, MATTERS[claim.measure])
        for claim, effect, p in zip(claims, effects, adjusted)
    ]
    words = {"better": "more", "worse": "less"}
    return [
        Judged(claim, effect, words.get(outcome, outcome))
        for claim, effect, outcome in zip(claims, effects, found)
    ]


def text_of(judged: Judged) -> str:
    """Return the difference with its 95 % interval, n, and the outcome, as text."""
    effect, digits = judged.effect, {GAIN: 2, FRECHET: 1}.get(judged.claim.measure, 3)
    interval = f"[{effect.low:+.{digits}f}, {effect.high:+.{digits}f}]"
    return f"{effect.mean:+.{digits}f} {interval}, n = {effect.n}: {judged.outcome}"
