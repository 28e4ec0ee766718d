"""The report of a check-up: findings with their evidence, what is in order, what cannot be known;
as text and as a figure."""

import textwrap
from typing import NamedTuple

from lecture_utils.checkup.forms import sigma_of
from lecture_utils.plotting import COLORS

import matplotlib.pyplot as plt
import numpy as np
import torch


class Finding(NamedTuple):
    """One finding. `level` is "fault", or "note" for what is worth knowing and may be meant."""

    name: str
    level: str
    title: str
    evidence: str
    causes: tuple[str, ...]
    see: str


class Report(NamedTuple):
    """What `examine` returns; `print(report)` shows it. `measured` holds the raw measurements by
    name."""

    findings: list[Finding]
    in_order: list[str]
    unknown: list[str]
    measured: dict

    @property
    def faults(self) -> list[str]:
        """The names of the faults."""
        return [finding.name for finding in self.findings if finding.level == "fault"]

    @property
    def names(self) -> list[str]:
        """The names of faults and notes."""
        return [finding.name for finding in self.findings]

    def __str__(self) -> str:
        faults = len(self.faults)
        notes = len(self.findings) - faults
        missing = self.measured.get("missing")
        rest = f"; not known: {', '.join(missing)}" if missing else ""
        lines = [f"Check-up: {_count(faults, 'fault')}, {_count(notes, 'note')}{rest}."]
        if not self.findings and "dose" not in self.measured:
            lines = ["Check-up: nothing could be examined."]
        for number, finding in enumerate(self.findings, 1):
            lines += ["", f"{number}. {finding.level.upper()} {finding.name}: {finding.title}"]
            lines += _wrapped("measured: ", finding.evidence)
            for index, cause in enumerate(finding.causes):
                lines += _wrapped("likely:   " if index == 0 else "or:       ", cause)
            lines += _wrapped("see:      ", finding.see)
        lines += (
            ["", "In order:"] + [line for text in self.in_order for line in _wrapped("+ ", text)]
            if self.in_order
            else []
        )
        lines += (
            ["", "Not known:"] + [line for text in self.unknown for line in _wrapped("? ", text)]
            if self.unknown
            else []
        )
        return "\n".join(lines)

    def figure(self) -> plt.Figure:
        """Draw the dose, the draw, the decoder's outputs and the KL of each unit.

        The figure is closed: a notebook shows what its last line returns, once.
        """
        figure, axes = plt.subplots(2, 2, figsize=(7, 5.2))
        _draw_dose(axes[0, 0], self.measured)
        _draw_draw(axes[0, 1], self.measured)
        _draw_outputs(axes[1, 0], self.measured)
        _draw_units(axes[1, 1], self.measured)
        plt.close(figure)
        return figure


def _count(n, what):
    return f"{n or 'no'} {what}{'' if n == 1 else 's'}"


def _wrapped(head, text):
    return textwrap.wrap(
        text, 96, initial_indent="   " + head, subsequent_indent=" " * (3 + len(head))
    )


def _nothing(axis, why):
    axis.text(
        0.5,
        0.5,
        textwrap.fill(why, 26),
        ha="center",
        va="center",
        transform=axis.transAxes,
        color=COLORS["prior"],
    )
    axis.set(xticks=[], yticks=[])


def _draw_dose(axis, measured):
    axis.set_title("dose of the KL")
    doses = measured.get("doses")
    if not doses:
        return _nothing(axis, "not known")
    values = list(doses.values())
    meant = measured["beta"]
    axis.axhline(meant, color=COLORS["data"], linestyle="--", linewidth=1)
    for index, value in enumerate(values):
        axis.plot(index, value, "o" if value > 0 else "X", color=COLORS["kl"], markersize=9)
        axis.annotate(f"{value:.3g}", (index, value), xytext=(9, 6), textcoords="offset points")
    if any(value <= 0 for value in values):
        axis.set_yscale("symlog", linthresh=0.1)
    else:
        axis.set(yscale="log", ylim=(min(*values, meant) / 5, max(*values, meant) * 5))
    axis.set(
        xticks=range(len(values)),
        xticklabels=[name.removeprefix("the ") for name in doses],
        xlim=(-0.5, len(values) - 0.2),
        ylabel="KL's weight / error's",
        xlabel="measured through",
    )


def _draw_draw(axis, measured):
    axis.set_title("the draw")
    draw = measured.get("draw")
    if draw is None or not draw.log_variances:
        return _nothing(axis, "nothing is drawn" if draw is not None and draw.none else "not known")
    seconds = np.array(draw.seconds)
    axis.plot(seconds, draw.log_variances, "o", color=COLORS["latent"], label="drawn")
    reading = measured["dose"].reading if measured.get("dose") else ""
    if reading:
        grid = torch.linspace(seconds.min(), seconds.max(), 50)
        log_variance = 2 * sigma_of(reading, grid).log()
        style = {"color": COLORS["kl"], "linestyle": "--", "label": "as the KL reads it"}
        axis.plot(grid.numpy(), log_variance.numpy(), **style)
    axis.set(xlabel="second number, planted", ylabel="log variance of z")
    axis.legend()


def _draw_outputs(axis, measured):
    axis.set_title("what the decoder returns")
    outputs = measured.get("outputs")
    if outputs is None:
        return _nothing(axis, "not known")
    axis.hist(outputs.numpy(), bins=60, color=COLORS["reconstruction"])
    axis.set(xlabel=measured["unit"], ylabel="pixels", yscale="log")


def _draw_units(axis, measured):
    axis.set_title("KL of each unit")
    learned = measured.get("learned")
    if learned is None:
        return _nothing(axis, "not known")  # the text says what it takes
    values = learned.kl_units.sort(descending=True).values.cpu().numpy()
    axis.bar(range(1, len(values) + 1), values, color=COLORS["kl"])
    axis.set(xlabel="unit", ylabel="nats", ylim=(0, max(values.max() * 1.1, 0.1)))
