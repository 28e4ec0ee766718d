"""The recorded study of AE, DAE and VAE: its questions, and the record they are answered from.

The rule, the questions and the smallest effects that matter were fixed before the first run was
recorded (by ``benchmarks/study.py``); 8 epochs joined the conditions later, before any run of that
length. A question is a sentence and the comparisons it stands for, each of one model with
another by one measure in one condition; `answer` judges them by the rule of `verdicts`.
"""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lecture_utils import comparison, verdicts
from lecture_utils.records import FOLDER

import numpy as np

FILE = FOLDER / "study.csv"
KEYS = ("kind", "noise", "latent", "epochs", "seed", "precision", "machine")

# The smallest difference that matters, by measure. Half a percentage point is 50 of the test
# images; a nat is what a factor of e in probability costs; an energy distance of 0.01 is that of
# N(0, I) shifted by about 0.06 in each of 20 coordinates; real training images are about 2 away
# from real test images in the Fréchet distance.
_MATTERS = {
    "probe": 0.005,
    "knn": 0.005,
    "silhouette": 0.01,
    "energy": 0.01,
    "frechet": 2.0,
    "nats": 1.0,
    "noise": 1.0,
    "kl": 1.0,
    "squared error": 1.0,
}


def matters(measure: str) -> float:
    """Return the smallest difference in a measure that matters, in its unit.

    Raises ValueError for an unknown measure.
    """
    for start, size in _MATTERS.items():
        if measure.startswith(start):
            return size
    raise ValueError(f"There is no measure {measure!r}.")


def lower_is_better(measure: str) -> bool:
    """Return whether less is better: in all measures but those of separation."""
    return not measure.startswith(("probe", "knn", "silhouette"))


class Cell(NamedTuple):
    """What is trained: "AE", "DAE" or "VAE" (or the baselines "PCA" and "pixels"), the DAE's noise,
    the code's dimension J, the epochs."""

    kind: str
    noise: float
    latent: int
    epochs: int


NOISES, LATENTS, EPOCHS = (0.15, 0.3, 0.6), (2, 5, 10, 20), (2, 8)
CORE_EPOCHS = (2, 8, 20)


def model_cell(name: str, latent: int = 20, epochs: int = 2, noise: float = 0.3) -> Cell:
    """Return the cell of a model; AE and VAE have no noise."""
    return Cell(name, noise if name == "DAE" else 0.0, latent, epochs)


CORE = [model_cell(name, 20, epochs) for epochs in CORE_EPOCHS for name in ("AE", "DAE", "VAE")]
GRID = [
    model_cell(name, latent, epochs, noise)
    for epochs in EPOCHS
    for latent in LATENTS[::-1]
    for name, noise in (("AE", 0), *(("DAE", noise) for noise in NOISES), ("VAE", 0))
]
OTHERS = [cell for cell in GRID if cell not in CORE]


class Study:
    """The recorded runs of one precision: values by cell, measure and seed."""

    def __init__(self, file: Path = FILE, precision: str = "float32"):
        self._runs, self.machines = {}, set()
        for cell, seed, _, machine, measures in read(file, precision):
            self._runs.setdefault(cell, {}).setdefault(seed, {}).update(measures)
            self.machines.add(machine)

    def seeds(self, *cells: Cell) -> list[int]:
        """Return the seeds that all these cells were recorded with."""
        each = [set(self._runs.get(cell, {})) for cell in cells]
        return sorted(set.intersection(*each))

    def measures(self, cell: Cell) -> set[str]:
        """Return the names of the measures that were recorded of a cell."""
        return {name for run in self._runs.get(cell, {}).values() for name in run}

    def values(self, cell: Cell, measure: str, seeds: Iterable[int] | None = None) -> np.ndarray:
        """Return a measure as [n seeds, 10]; an empty [0, 10] if it was not recorded.

        Raises KeyError for seeds that were not recorded.
        """
        seeds = self.seeds(cell) if seeds is None else list(seeds)
        rows = [self._runs[cell][seed][measure] for seed in seeds]
        return np.array(rows).reshape(-1, comparison.N_BLOCKS)

    def means(self, cell: Cell, measure: str) -> list[float]:
        """Return a measure by seed, in the order of `seeds`."""
        return self.values(cell, measure).mean(axis=1).tolist()

    def effect(self, claim: "Comparison", seeds: Sequence[int] | None = None) -> verdicts.Effect:
        """Return the effect of one comparison over the seeds that both sides have.

        `seeds` restricts them further, for a verdict from half of the record.
        """
        sides = [(claim.ours, claim.measure), (claim.theirs, claim.other)]
        sides = [side for side in sides if side[0]]
        common = [
            seed
            for seed in self.seeds(*(cell for cell, _ in sides))
            if (seeds is None or seed in seeds)
            and all(measure in self._runs[cell][seed] for cell, measure in sides)
        ]
        ours = self.values(claim.ours, claim.measure, common)
        theirs = self.values(claim.theirs, claim.other, common) if claim.theirs else 0.0
        return verdicts.effect(ours, theirs)


class Comparison(NamedTuple):
    """Is `ours` better than `theirs` by `measure`? Without `theirs`: better than 0.

    `their_measure` is what theirs is measured by, if it is called otherwise (another input of the
    DAE, another source of codes).
    """

    measure: str
    ours: Cell
    theirs: Cell | None
    their_measure: str | None = None

    @property
    def other(self) -> str:
        return self.their_measure or self.measure


class Judged(NamedTuple):
    """A comparison with its effect, Holm's p value and the outcome."""

    comparison: Comparison
    effect: verdicts.Effect
    p: float
    outcome: str


def answer(study: Study, comparisons: list[Comparison], seeds=None) -> list[Judged]:
    """Judge the comparisons of one question, with Holm's correction over all of them."""
    effects = [study.effect(each, seeds) for each in comparisons]
    adjusted = verdicts.holm([effect.p for effect in effects])
    return [
        Judged(each, effect, p, _outcome(each, effect, p))
        for each, effect, p in zip(comparisons, effects, adjusted)
    ]


def _outcome(claim, effect, p):
    size, lower = matters(claim.measure), lower_is_better(claim.measure)
    if claim.theirs is None:  # a distance is as good as 0, or it is not
        found = verdicts.outcome(effect, p, size, lower)
        return {"alike": "better"}.get(found, found)
    return verdicts.outcome(effect, p, size, lower)


def seeds_of_both(claims: Iterable[Comparison], first: Study, second: Study) -> list[int]:
    """Return the seeds with which both records have every cell of these comparisons."""
    cells = {cell for claim in claims for cell in (claim.ours, claim.theirs) if cell}
    return sorted(set(first.seeds(*cells)) & set(second.seeds(*cells)))


def text_of(judged: Judged) -> str:
    """Return the effect with its interval, the number of seeds and the outcome, as text."""
    effect, size = judged.effect, matters(judged.comparison.measure)
    if not effect.n:
        return "not recorded"
    digits = 1 if size >= 2 else 2 if size >= 1 else 4
    if effect.n == 1:
        return f"{effect.mean:+.{digits}f}, n = 1"
    interval = f"[{effect.low:+.{digits}f}, {effect.high:+.{digits}f}]"
    return f"{effect.mean:+.{digits}f} {interval}, n = {effect.n}: {_said(judged)}"


def _said(judged):
    """The outcome; where something is held against 0, as what it then means."""
    against_zero = {"better": "0, up to what matters", "worse": "not 0"}
    plain = judged.comparison.theirs is not None
    return judged.outcome if plain else against_zero.get(judged.outcome, judged.outcome)


def row_of(claim: Comparison) -> str:
    """Return what is compared with what, without the condition: "probe, than AE"."""
    measure = claim.measure.removesuffix(" expected").removesuffix(" corrupted")
    if claim.theirs is None:
        return f"{measure}, against 0"
    rival = claim.theirs.kind
    if measure.startswith("frechet"):
        ours, theirs = (_source(each) for each in (measure, claim.other))
        return f"from {ours}, than {rival} from {theirs}"
    return f"{measure}, than {rival}"


def _source(measure):
    name = measure.removeprefix("frechet ")
    return name if name == "N(0, I)" else f"a {name}"


def table(judged: list[Judged]) -> dict[str, dict[str, str]]:
    """Return {comparison: {condition: text}}, a row for each comparison (`plotting.show_table`)."""
    rows = {}
    for each in judged:
        rows.setdefault(row_of(each.comparison), {})[condition_of(each)] = text_of(each)
    return rows


def condition_of(judged: Judged) -> str:
    """Return the condition under which a comparison was judged, in words: the epochs."""
    return f"{judged.comparison.ours.epochs} epochs"


_ORDER = ["better", "0, up to what matters", "worse", "not 0", "alike", "open", "missing"]


def word(judged: list[Judged]) -> str:
    """Return the verdict on all comparisons and conditions together."""
    return verdicts.verdict(each.outcome for each in judged)


def words(judged: list[Judged]) -> str:
    """Return the verdict as a Markdown sentence: the word, that of each condition, and which
    comparisons came out how."""
    conditions = list(dict.fromkeys(condition_of(each) for each in judged))
    parts = [
        f"{condition}: {word([each for each in judged if condition_of(each) == condition])}"
        for condition in conditions
    ]
    counts = {}
    for each in judged:
        at = counts.setdefault(_said(each), {}).setdefault(row_of(each.comparison), [])
        at.append(condition_of(each).removesuffix(" epochs"))
    found = [
        f"{outcome}: "
        + "; ".join(f"{row} ({', '.join(at)})" for row, at in counts[outcome].items())
        for outcome in sorted(counts, key=_ORDER.index)
        if outcome != "missing"
    ]
    lines = [f"**{word(judged)}** ({', '.join(parts)})", *(f"- {line}" for line in found)]
    return "\n".join([lines[0], "", *lines[1:]])


def drawn(judged: list[Judged]) -> dict[str, dict[str, tuple]]:
    """Return the effects as `plotting.effects` draws them: better positive, 1 is what matters.

    Conditions of which nothing was recorded are left out.
    """
    panels = {}
    for each in judged:
        size = matters(each.comparison.measure)
        sign = -1 if lower_is_better(each.comparison.measure) else 1
        ends = sorted(sign * end / size for end in (each.effect.low, each.effect.high))
        decided = each.outcome in ("better", "worse")
        value = (sign * each.effect.mean / size, *ends, decided)
        panels.setdefault(condition_of(each), {})[row_of(each.comparison)] = value
    recorded = {condition_of(each) for each in judged if each.effect.n}
    return {name: rows for name, rows in panels.items() if name in recorded} or panels


def sign_map(record: Study, claims: list[list[Comparison]]) -> tuple[np.ndarray, np.ndarray]:
    """Return effects [R, C] in units of what matters, better positive, and a sign for each.

    "+", "−" and "=" where the rule, applied to one comparison alone, says better, worse or alike,
    "?" where it says open, "" with fewer than two seeds. Without Holm's correction: for looking.
    """
    signs = {"better": "+", "worse": "\N{MINUS SIGN}", "alike": "=", "open": "?", "missing": ""}

    def cell(claim):
        effect, size = record.effect(claim), matters(claim.measure)
        lower = lower_is_better(claim.measure)
        sign = signs[verdicts.outcome(effect, effect.p, size, lower)]
        return (-effect.mean if lower else effect.mean) / size, sign

    cells = [[cell(claim) for claim in row] for row in claims]
    values, texts = zip(*(zip(*row) for row in cells))
    return np.array(values), np.array(texts)


def normality(epochs=CORE_EPOCHS, latent=20, noise=0.3) -> list[Comparison]:
    """ "VAE: Forces data into a normal distribution", as a comparison: nearer than AE and DAE.

    Of the DAE, codes of corrupted images: those its decoder was trained on.
    """
    vae = [model_cell("VAE", latent, each) for each in epochs]
    return [
        Comparison(measure, ours, model_cell(rival, latent, ours.epochs, noise), measure + ending)
        for ours in vae
        for rival, ending in (("AE", ""), ("DAE", " corrupted"))
        for measure in ("nats", "energy", "nats whitened", "energy whitened")
    ]


def normal_literally(epochs=CORE_EPOCHS, latent=20) -> list[Comparison]:
    """The same sentence to the letter: the VAE's codes are N(0, I), up to what matters."""
    return [
        Comparison(measure, model_cell("VAE", latent, each), None)
        for each in epochs
        for measure in ("nats", "energy")
    ]


def separation(epochs=CORE_EPOCHS, latent=20, noise=0.3, view="expected") -> list[Comparison]:
    """ "DAE: Preserves class separation better": than AE and VAE, by four measures.

    `view` is the DAE's input: "expected", "corrupted" or "clean".
    """
    ending = "" if view == "clean" else f" {view}"
    return [
        Comparison(measure + ending, model_cell("DAE", latent, each, noise), theirs, measure)
        for each in epochs
        for theirs in (model_cell("AE", latent, each), model_cell("VAE", latent, each))
        for measure in ("probe", "knn", "silhouette", "silhouette whitened")
    ]


def only_the_vae(epochs=CORE_EPOCHS, latent=20, noise=0.3, source="mixture") -> list[Comparison]:
    """Only the VAE generates: from its prior it beats AE and DAE from `source`."""
    return [
        Comparison("frechet N(0, I)", model_cell("VAE", latent, each), theirs, f"frechet {source}")
        for each in epochs
        for theirs in (model_cell("AE", latent, each), model_cell("DAE", latent, each, noise))
    ]


def like_for_like(epochs=CORE_EPOCHS, latent=20, noise=0.3) -> list[Comparison]:
    """The VAE generates better than AE and DAE, a mixture fitted to the codes of each."""
    return [
        claim._replace(measure="frechet mixture")
        for claim in only_the_vae(epochs, latent, noise, "mixture")
    ]


def prior_suffices(latents=LATENTS, epochs=EPOCHS) -> list[Comparison]:
    """The VAE's prior is as good a source of codes as a mixture: the distances are alike."""
    return [
        Comparison("frechet N(0, I)", vae, vae, "frechet mixture")
        for each in epochs
        for vae in (model_cell("VAE", latent, each) for latent in latents)
    ]


def robustness(level, ours="DAE", rivals=("AE", "VAE"), epochs=CORE_EPOCHS) -> list[Comparison]:
    """`ours` restores the clean image better than its rivals at one level of noise, in nats."""
    return [
        Comparison(f"noise {level}", model_cell(ours, 20, each), model_cell(rival, 20, each))
        for each in epochs
        for rival in rivals
    ]


STEPS = 20

# The record: one line a run. A measure is its mean, and its ten values as whole numbers of steps
# away from the mean; a step is a twentieth of what matters (STEPS).


def encode(measure: str, values: np.ndarray) -> str:
    """Return ten values as text, such as "0.8812 12 -5 0 ..."."""
    values, step = np.asarray(values), matters(measure) / STEPS
    steps = np.round((values - values.mean()) / step).astype(int)
    return " ".join([f"{values.mean():.7g}", *map(str, steps)])


def decode(measure: str, text: str) -> np.ndarray:
    """Return the ten values that `encode` wrote, to half a step; their mean is exact."""
    mean, *steps = text.split()
    steps = np.array(steps, dtype=float)
    return float(mean) + (steps - steps.mean()) * matters(measure) / STEPS


def read(file: Path = FILE, precision: str | None = None):
    """Yield (cell, seed, precision, machine, {measure: [10]}) of each recorded run.

    With `precision` only of those in this one. A last line that a killed run left unfinished is
    skipped. Nothing if the file does not exist.
    """
    if not file.exists():
        return
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    for row in csv.DictReader(line for line in lines if line.endswith("\n")):
        if precision not in (None, row["precision"]):
            continue
        cell = Cell(row["kind"], float(row["noise"]), int(row["latent"]), int(row["epochs"]))
        measures = {
            name: decode(name, text) for name, text in row.items() if name not in KEYS and text
        }
        yield cell, int(row["seed"]), row["precision"], row["machine"], measures


def append(file: Path, cell: Cell, seed: int, precision: str, machine: str, measures) -> None:
    """Write one run as one line, at once and to the disk; a torn last line is cut off before."""
    columns = [*KEYS, *measure_names()]
    values = {name: encode(name, ten) for name, ten in measures.items()}
    row = dict(zip(KEYS, (*cell, seed, precision, machine))) | values
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if not text:
        text = ",".join(f'"{name}"' if "," in name else name for name in columns) + "\n"
        file.write_text(text, encoding="utf-8")
    with open(file, "r+", encoding="utf-8", newline="") as out:
        out.truncate(len(text[: text.rindex("\n") + 1].encode()))
        out.seek(0, os.SEEK_END)
        csv.DictWriter(out, columns, lineterminator="\n").writerow(row)
        out.flush()
        os.fsync(out.fileno())


def measure_names() -> list[str]:
    """Return the names of all measures, the columns of the record."""
    codes = ["nats", "nats whitened", "energy", "energy whitened"]
    codes += ["probe", "knn", "silhouette", "silhouette whitened"]
    views = [name + ending for ending in ("", " corrupted", " expected") for name in codes]
    sources = [f"frechet {source}" for source in comparison.SOURCES]
    nats = ["nats at code", "nats at code expected", "nats as trained", "kl", "squared error"]
    return views + sources + nats + [f"noise {level}" for level in comparison.LEVELS]
