"""The goals of the benchmarks, judged on the record of the machine that made it.

A slower or busier machine may miss one: its record then says so, and no test fails.
"""

from collections.abc import Callable
from typing import NamedTuple

import records

RACE, LIMIT = "time_to_quality", "distance_to_limit"


class Goal(NamedTuple):
    """`at_least` or `at_most` is the limit; `value` finds what was measured in the record."""

    text: str
    record: str
    value: Callable[[dict], float]
    at_least: float | None = None
    at_most: float | None = None

    def judged(self) -> tuple[float, bool]:
        """What was measured, and whether it reaches the goal."""
        value = self.value(records.load(self.record))
        low, high = self.at_least, self.at_most
        return value, (low is None or value >= low) and (high is None or value <= high)


def _default_batch(limit):
    return next(row for row in limit["by batch size"] if row["batch"] == limit["default batch"])


GOALS = [
    Goal(
        "`fit` is so many times faster to the loss of the usual script",
        RACE,
        lambda race: race["times faster to the same loss"]["fit"],
        at_least=15,
    ),
    Goal(
        "an epoch of `fit` over one of the usual script, the fastest of both",
        RACE,
        lambda race: race["epoch over epoch of the usual script"]["fit"]["fastest"],
        at_most=0.25,
    ),
    Goal(
        "`torch.mm` alone over a step of `fit`, grey pixels",
        LIMIT,
        lambda limit: _default_batch(limit)["share of the limit, grey"],
        at_least=0.75,
    ),
    Goal(  # half of one core of two is lost; tenfold is what spinning threads cost
        "`fit` beside a busy process over `fit` alone",
        RACE,
        lambda race: race["slower beside a busy process, times"],
        at_most=4,
    ),
]


def rows() -> list[list]:
    """The goals as rows of a table: text, limit, what was measured, whether that reaches it."""
    judged = [(goal, *goal.judged()) for goal in GOALS]
    return [
        [
            goal.text,
            f"at most {goal.at_most}" if goal.at_least is None else f"at least {goal.at_least}",
            value,
            "yes" if reached else "no",
        ]
        for goal, value, reached in judged
    ]
