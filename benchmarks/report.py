"""Write what the benchmarks recorded into README.md and benchmarks/README.md, and draw its figures.

usage: python benchmarks/report.py

Nothing is measured here. Each text stands between two marker lines; a test asserts that both files
and the figures agree with the JSON files in benchmarks/results/.
"""

import hashlib
import os
from pathlib import Path

from lecture_utils import pretrained

import goals
import records

ROOT = Path(__file__).parents[1]
FIGURES = Path(__file__).parent / "figures"
START, END = (
    "<!-- written by benchmarks/report.py -->",
    "<!-- end of what benchmarks/report.py writes -->",
)
ESTIMATE = "test log-likelihood, 5000 samples (nats)"
PUBLISHED = {
    "vae": ("VAE, k = 1", -86.76, 19),
    "iwae": ("IWAE, k = 5", -85.54, 22),
}  # Burda et al. 2015, table 1: nats, active units


def table(head: list[str], rows: list[list]) -> str:
    """A Markdown table with a header row."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def origin(record: dict) -> str:
    return f"{record['machine']}, torch {record['versions']['torch']}, {record['date']}"


def summary() -> str:
    """For README.md: the race, its figure, and one line on each of the other benchmarks."""
    race, limit, series, together = (
        records.load(name)
        for name in ("time_to_quality", "distance_to_limit", "series", "series_together")
    )
    loss, seconds = (
        race["test loss at the end (nats), median over seeds"],
        race["seconds to the end, median over seeds"],
    )
    default = next(row for row in limit["by batch size"] if row["batch"] == limit["default batch"])
    seeds, epochs = (
        len(race["curves"]["fit"]),
        {name: len(runs[0]["seconds"]) for name, runs in race["curves"].items()},
    )
    rows = [
        [name, epochs[name], seconds[name], race["seconds an epoch"][name]["median"], loss[name]]
        for name in race["curves"]
    ]
    faster, epoch = (
        race["times faster to the same loss"],
        race["epoch over epoch of the usual script"],
    )
    cache = together["minutes, one cache"]
    slowest = max(series["notebooks"], key=lambda row: row["seconds"])
    return "\n\n".join(
        [
            f"Measured by `make bench` ({origin(race)}); the records are in "
            "`benchmarks/results/`, all tables in "
            "[benchmarks/README.md](benchmarks/README.md).",
            f"![{race_alt(race)}](benchmarks/figures/time_to_quality.png)",
            table(
                [
                    "the same network, the same test loss",
                    "epochs",
                    "seconds",
                    "seconds an epoch",
                    "test loss (nats)",
                ],
                rows,
            ),
            f"Medians over {seeds} seeds, grey pixels. `fit` reaches the loss of the usual script "
            f"{faster['fit']} times faster; its epoch takes "
            f"{epoch['fit']['median']} of the usual one (the fastest epochs of both: "
            f"{epoch['fit']['fastest']}). Beside a busy process it takes "
            f"{race['slower beside a busy process, times']} times as long. "
            "On processors with fast bfloat16 instructions, such as this one, `fit` rounds the "
            "factors of its matrix products to bfloat16; without that it is "
            f"{faster['fit, float32']} times faster, "
            f"and its epoch takes {epoch['fit, float32']['median']} of the usual one "
            f"(fastest: {epoch['fit, float32']['fastest']}).",
            "`torch.mm` alone, on float32 matrices, needs "
            f"{default['share of the limit, grey']:.0%} (grey pixels) or "
            f"{default['share of the limit, binary']:.0%} (binary) of the time of a step of "
            "`fit`; "
            f"like against like it is {default['share of the limit, grey, both float32']:.0%} "
            f"(both float32) and {default['share of the limit, grey, both bfloat16']:.0%} (both "
            "bfloat16). "
            "All notebooks together, two side by side, take "
            f"{cache['side by side, from an empty cache']} minutes from an empty cache of trained "
            f"models and {cache['side by side, once more']} once more; one after another "
            f"{cache['from an empty cache']} and {cache['once more']} ({origin(together)}); the "
            f"longest alone {slowest['seconds']:.0f} s ({origin(series)}).",
            published_sentence(),
        ]
    )


def race_alt(race: dict) -> str:
    loss = race["test loss at the end (nats), median over seeds"]
    seconds = race["seconds to the end, median over seeds"]
    return (
        "Test loss against training time on a logarithmic axis. The usual script ends at "
        f"{loss['usual script']} nats after {seconds['usual script']:.0f} seconds, "
        f"fit at {loss['fit']} nats after {seconds['fit']:.1f} seconds."
    )


def curves_of(growth: dict) -> dict:
    """The three curves of the record, without its date, machine and versions."""
    return {name: curve for name, curve in growth.items() if "points" in curve}


def growth_alt(growth: dict) -> str:
    slopes = "; ".join(
        f"{name} {curve['slope of time']} and {curve['memory per doubling (MB)']} MB"
        for name, curve in zip(("images", "latent dimensions", "k"), curves_of(growth).values())
    )
    return (
        "Seconds above, peak memory below, against images, latent dimensions and k. Slope of time, "
        f"and memory per doubling: {slopes}."
    )


def tables() -> str:
    """For benchmarks/README.md: every table."""
    ablation, limit, tricks, growth = (
        records.load(name) for name in ("ablation", "distance_to_limit", "speed_tricks", "growth")
    )
    series, together, tests = (
        records.load(name) for name in ("series", "series_together", "series_tests")
    )
    rows = limit["by batch size"]
    notebooks, cache = series["notebooks"], together["minutes, one cache"]
    of_all = {
        "notebook": "all",
        "seconds": series["seconds, all"],
        "kilobytes": series["kilobytes, all"],
    }
    medians = ablation["median (nats)"]
    parts = [
        "## Goals",
        "Judged on the records below; a slower or busier machine may miss one.",
        table(["goal", "limit", "measured", "reached"], goals.rows()),
        "## What makes fit's epochs count",
        (
            f"{origin(ablation)}. The test loss (grey pixels, nats) after {ablation['epochs']} "
            "epochs of `fit` with one part left out; for each seed, and the median. Notebook 06 "
            "explains the parts."
        ),
        table(
            [
                "variant",
                *(f"seed {seed}" for seed in range(len(ablation["test loss (nats)"]["as it is"]))),
                "median",
                "lost",
            ],
            [
                [
                    name,
                    *values,
                    medians[name],
                    f"{medians[name] - medians['as it is']:.2f}",
                ]
                for name, values in ablation["test loss (nats)"].items()
            ],
        ),
        "## Distance to the limit",
        (
            f"{origin(limit)}, {limit['threads']} threads. The default batch is "
            f"{limit['default batch']}."
        ),
        table(list(rows[0]), [list(row.values()) for row in rows]),
        (
            "Where a step goes, by torch's profiler (binary pixels, default batch; shares of "
            "operator time, the profiler's own cost included):"
        ),
        table(
            ["kind", "share"],
            [[kind, f"{share:.1%}"] for kind, share in limit["where a step goes"].items()],
        ),
        "## What was tried",
        (
            f"{origin(tricks)}. Batch {tricks['batch']}, binary pixels, all variants in turn, the "
            "best of many short rounds. A trick that costs clarity goes in only if it saves at "
            "least 10 %."
        ),
        table(
            ["variant", "step (ms)", "saved"],
            [
                [name, ms, f"{tricks['saved'][name]:.1%}"]
                for name, ms in tricks["step (ms), best round"].items()
            ],
        ),
        "## Growth",
        (
            f"{origin(growth)}. Each point in a process of its own, which returns large buffers "
            "at once; memory is the peak above what was resident before."
        ),
        f"![{growth_alt(growth)}](figures/growth.png)",
        table(
            ["what", "slope of time", "memory per doubling (MB)"],
            [
                [name, c["slope of time"], c["memory per doubling (MB)"]]
                for name, c in curves_of(growth).items()
            ],
        ),
        "## The series",
        f"{origin(series)}. Each notebook alone, from an empty cache.",
        table(
            list(notebooks[0]),
            [[row.get(column, "") for column in notebooks[0]] for row in [*notebooks, of_all]],
        ),
        (
            f"{origin(together)}. The numbered notebooks one after another, with one cache of "
            "trained models: "
            f"{cache['from an empty cache']} minutes if it is empty at first, {cache['once more']} "
            f"once more. Two side by side: {cache['side by side, from an empty cache']} and "
            f"{cache['side by side, once more']}."
        ),
        f"{origin(tests)}. CPU minutes of the tests, kernels included, by part:",
        cost_of_tests(tests["tests"]),
    ]
    return "\n\n".join(parts + published())


def cost_of_tests(tests: dict) -> str:
    """The CPU minutes of each part of `make test`."""
    parts = list(dict.fromkeys(part for each in tests.values() for part in each["CPU minutes"]))
    busy = "share of the cores that was busy"
    return table(
        ["command", "minutes", *parts, "cores busy"],
        [
            [name, each["minutes"], *(each["CPU minutes"].get(part, "") for part in parts)]
            + [f"{each[busy]:.0%}"]
            for name, each in tests.items()
        ],
    )


def runs() -> dict:
    """The runs of Burda et al.'s table 1: {name: record}."""
    return {name: records.load(name, pretrained.FOLDER) for name in PUBLISHED}


def published_sentence() -> str:
    """For README.md."""
    ends = [
        f"{PUBLISHED[name][0]}: {r[ESTIMATE]:.2f} ± {r['its standard error']:.2f} nats "
        f"(published: {PUBLISHED[name][1]}), {r['seconds'] / 60:.0f} minutes"
        for name, r in runs().items()
    ]
    return (
        "Test log-likelihood of Burda et al. (2015), table 1, trained anew by `make "
        "bench-published`, both at once with one thread each: " + "; ".join(ends) + "."
    )


def published() -> list[str]:
    """The section on Burda et al.'s table 1."""
    rows = [
        [
            label,
            nats,
            f"{r[ESTIMATE]} ± {r['its standard error']}",
            units,
            r["active units"],
            r["epochs"],
            round(r["seconds"] / 60),
            r["test ELBO (nats)"],
        ]
        for (label, nats, units), r in zip(PUBLISHED.values(), runs().values())
    ]
    head = [
        "model",
        "published (nats)",
        "here (nats)",
        "active units, published",
        "active units, here",
        "epochs",
        "minutes",
        "test ELBO (nats)",
    ]
    return [
        "## Published numbers",
        "Burda et al. (2015), table 1, one stochastic layer; `make bench-published`, both at "
        "once with one thread each. What differs from their protocol stands in "
        "[train_published.py](train_published.py). The standard error is over test images.",
        table(head, rows),
        f"![{published_alt()}](figures/published.png)",
    ]


def published_alt() -> str:
    """The last point of each curve, in words."""
    ends = [
        f"the {PUBLISHED[name][0]} ends at {list(r['test bound'].values())[-1]:.2f}"
        for name, r in runs().items()
    ]
    return (
        "Importance-weighted bound of 100 samples on 2000 test images against minutes of "
        "training, above dotted lines at the published figures: " + ", ".join(ends) + " nats."
    )


def draw() -> None:
    """Draw the figures; each carries the hash of its records, so that a test can tell an old
    one."""
    from lecture_utils import plotting  # sets the style

    figures = {
        "time_to_quality": draw_race(records.load("time_to_quality"), plotting),
        "growth": draw_growth(records.load("growth"), plotting),
        "published": draw_published(runs(), plotting),
    }
    FIGURES.mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(FIGURES / f"{name}.png", metadata={"Source": fingerprint(name)})


def fingerprint(figure: str) -> str:
    """SHA-256 of the records behind a figure, as text, whatever the line ends of the checkout."""
    if figure == "published":
        files = [pretrained.FOLDER / f"{name}.json" for name in PUBLISHED]
    else:
        files = [records.RESULTS / f"{figure}.json"]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    return hashlib.sha256(text.encode()).hexdigest()


def draw_race(race, plotting):
    figure, axis = plotting.plt.subplots(figsize=(7, 3.4))
    for name, color, marker in (
        ("usual script", plotting.COLORS["data"], "s"),
        ("fit", plotting.COLORS["bound"], "o"),
    ):
        for run in race["curves"][name]:
            axis.plot(
                run["seconds"],
                run["test loss (nats)"],
                "-",
                marker=marker,
                ms=4,
                lw=1.2,
                color=color,
            )
        axis.annotate(
            name,
            (run["seconds"][0], run["test loss (nats)"][0]),
            xytext=(8, 4),
            textcoords="offset points",
            color=color,
        )
    axis.axhline(
        race["test loss at the end (nats), median over seeds"]["usual script"],
        color=plotting.COLORS["prior"],
        ls=":",
        lw=1,
    )
    axis.set(
        xscale="log",
        xlabel="training time (seconds, logarithmic)",
        ylabel="test loss (nats an image)",
    )
    axis.margins(y=0.1)  # room for the label above the first points
    _ticks(axis.xaxis, [2, 5, 10, 20, 50])
    return figure


def draw_growth(growth, plotting):
    figure, axes = plotting.plt.subplots(2, 3, figsize=(7, 4.4), sharex="col", sharey="row")
    for column, (curve, label) in enumerate(
        zip(curves_of(growth).values(), ("training images", "latent dimensions", "samples $k$"))
    ):
        values = [point["value"] for point in curve["points"]]
        time, memory = axes[:, column]
        time.plot(
            values,
            [point["seconds"] for point in curve["points"]],
            "o-",
            color=plotting.COLORS["latent"],
            ms=4,
        )
        time.set(xscale="log", yscale="log", title=f"slope {curve['slope of time']}")
        memory.plot(
            values,
            [point["megabytes"] for point in curve["points"]],
            "s--",
            color=plotting.COLORS["reconstruction"],
            ms=4,
        )
        memory.set(
            xlabel=label,
            title=f"{curve['memory per doubling (MB)']} MB per doubling",
            ylim=(0, 150),
        )
        _ticks(memory.xaxis, values[::3] if len(values) > 3 else values)
    _ticks(axes[0, 0].yaxis, [0.1, 0.3, 1, 3])
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("peak memory (MB)")
    return figure


def draw_published(runs, plotting):
    figure, axis = plotting.plt.subplots(figsize=(7, 3.4))
    colors = (plotting.COLORS["bound"], plotting.COLORS["reconstruction"])
    for (name, record), color, marker, below in zip(
        runs.items(), colors, "os", (3, 16)
    ):  # the second label clear of its line
        label, nats, _ = PUBLISHED[name]
        minutes = [
            int(epoch) * record["seconds"] / record["epochs"] / 60 for epoch in record["test bound"]
        ]
        values = list(record["test bound"].values())
        axis.plot(minutes, values, "-", marker=marker, ms=4, lw=1.2, color=color)
        axis.annotate(
            label,
            (minutes[-1], values[-1]),
            xytext=(6, -below),
            textcoords="offset points",
            color=color,
        )
        axis.axhline(nats, color=color, ls=":", lw=1)
        axis.text(
            1,
            nats + 0.15,
            f"published, 5000 samples: {nats}".replace("-", "\u2212"),
            color=color,
            fontsize=9,
        )
    longest = max(record["seconds"] for record in runs.values()) / 60
    axis.set(
        xlabel="minutes of training",
        ylabel="test bound, 100 samples (nats)",
        ylim=(-96, -84.5),
        xlim=(0, 1.2 * longest),
    )
    return figure


def _ticks(axis, values):
    """Plain numbers at just these values of a logarithmic axis."""
    axis.set_ticks(
        values, [f"{value:g}" if value < 1e4 else f"{value / 1000:g}k" for value in values]
    )
    axis.set_ticks([], minor=True)


def put_between_markers(path: Path, text: str) -> None:
    whole = path.read_text(encoding="utf-8")
    before, after = whole[: whole.index(START) + len(START)], whole[whole.index(END) :]
    scratch = path.with_suffix(".part")
    scratch.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")
    os.replace(scratch, path)


if __name__ == "__main__":
    draw()
    put_between_markers(ROOT / "README.md", summary())
    put_between_markers(ROOT / "benchmarks" / "README.md", tables())
