"""How near the training step of `fit` comes to what `torch.mm` alone would allow, and where the
rest goes.

usage: python benchmarks/distance_to_limit.py

A step of the VAE (784-400-20-400-784) is a list of matrix products: for each linear layer one
forward, one for the gradient of its weights, and one for that of its input (not for the first
layer). The limit is the time `torch.mm` needs for just these products, at the same shapes and in
the same run, on the float32 matrices that the weights and pixels are. `fit` rounds the factors to
bfloat16 where that is fast (`training.mixed_precision`), so the step is also timed without that,
and `torch.mm` also on bfloat16 matrices: two more shares, like against like. The step's own time is
that of `fit` itself, grey and binary pixels, over 7680 images. All are measured in turn, and of
each the least disturbed of several rounds is taken: on a shared machine the medians of one minute
scatter by a third.
"""

import math
import time

from lecture_utils import data, models, training

import records
import torch
from time_to_quality import float32_products
from torch.profiler import ProfilerActivity, profile

DEFAULT = 256  # fit's own batch size
BATCHES, ROUNDS, IMAGES = (128, DEFAULT, 512, 1024), 5, 7680
# Of one round: a best of ten still scattered by a tenth.
TURNS = (
    DEFAULT,
    128,
    DEFAULT,
    512,
    DEFAULT,
    1024,
)


def products(model, batch):
    """The shapes (rows, inner, columns) of all matrix products of one step."""
    shapes = []
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            shapes += [
                (batch, layer.in_features, layer.out_features),
                (layer.out_features, batch, layer.in_features),
            ]
            if not name.startswith("encoder.0"):  # nobody asks for the gradient of the pixels
                shapes.append((batch, layer.out_features, layer.in_features))
    return shapes


def seconds_of_products(operands, steps):
    start = time.perf_counter()
    for _ in range(steps):
        for a, b in operands:
            torch.mm(a, b)
    return (time.perf_counter() - start) / steps


def seconds_of_step(images, batch, pixels):
    history = training.fit(
        models.VAE(),
        images[:IMAGES],
        epochs=1,
        batch_size=batch,
        pixels=pixels,
        device="cpu",
        progress=False,
    )
    return history.seconds[0] * batch / IMAGES


def seconds_in_float32(images, batch):
    with float32_products():
        return seconds_of_step(images, batch, "grey")


def timed(images, batch):
    """What is timed at one batch size: {name: a function that returns seconds}."""
    operands = [(torch.randn(m, k), torch.randn(k, n)) for m, k, n in products(models.VAE(), batch)]
    rounded = [(a.bfloat16(), b.bfloat16()) for a, b in operands]
    return {
        "torch.mm alone (ms)": lambda: seconds_of_products(operands, IMAGES // batch),
        "torch.mm alone, bfloat16 (ms)": lambda: seconds_of_products(rounded, IMAGES // batch),
        "step, grey pixels (ms)": lambda: seconds_of_step(images, batch, "grey"),
        "step, binary pixels (ms)": lambda: seconds_of_step(images, batch, "binary"),
        "step, grey pixels, float32 (ms)": lambda: seconds_in_float32(images, batch),
    }


def measure(images):
    """For each batch size the best of several rounds: milliseconds of the products and of the
    steps, and their ratios."""
    runs = {batch: timed(images, batch) for batch in BATCHES}
    ms = {batch: dict.fromkeys(runs[batch], math.inf) for batch in BATCHES}
    for _ in range(
        ROUNDS
    ):  # outermost, so that a disturbance of seconds spoils no more than a round
        for batch in TURNS:
            for name, run in runs[batch].items():
                ms[batch][name] = min(ms[batch][name], 1e3 * run())
    return [row(batch, ms[batch]) for batch in BATCHES]


def row(batch, ms):
    """The record of one batch size."""
    limit, grey = ms["torch.mm alone (ms)"], ms["step, grey pixels (ms)"]
    return {
        "batch": batch,
        "multiply-adds a step (millions)": round(
            sum(m * k * n for m, k, n in products(models.VAE(), batch)) / 1e6, 1
        ),
        **{name: round(value, 2) for name, value in ms.items()},
        "share of the limit, grey": round(limit / grey, 3),
        "share of the limit, binary": round(limit / ms["step, binary pixels (ms)"], 3),
        "share of the limit, grey, both float32": round(
            limit / ms["step, grey pixels, float32 (ms)"], 3
        ),
        "share of the limit, grey, both bfloat16": round(
            ms["torch.mm alone, bfloat16 (ms)"] / grey, 3
        ),
    }


KINDS = {  # of the profiler's operators, by the first part of the name that fits
    "matrix products": ("aten::mm", "aten::addmm", "aten::mkldnn_linear"),
    "Adam and its schedule": ("aten::_fused_adam_", "Optimizer.", "aten::_foreach"),
    "drawing the binary pixels": ("aten::random_",),
    "cross-entropy, forward and backward": (
        "aten::log_sigmoid",
        "aten::binary_cross_entropy",
        "aten::sigmoid",
        "aten::sub_",
    ),
    "ReLU, forward and backward": ("aten::clamp_min", "aten::relu", "aten::threshold_backward"),
    "fetching the images; conversions, those to bfloat16 included": (
        "aten::index_select",
        "aten::copy_",
        "aten::lt",
    ),
}


def where_it_goes(images):
    """Share of one step's operator time by kind, from torch's profiler, at the default batch and
    binary pixels."""
    seconds_of_step(images, DEFAULT, "binary")
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        seconds_of_step(images, DEFAULT, "binary")
    shares = dict.fromkeys([*KINDS, "the rest: sums, small products, autograd, Python"], 0.0)
    for event in profiler.key_averages():
        kind = next(
            (kind for kind, names in KINDS.items() if event.key.startswith(names)), list(shares)[-1]
        )
        shares[kind] += event.self_cpu_time_total
    whole = sum(shares.values())
    return {kind: round(value / whole, 3) for kind, value in shares.items()}


def main():
    images = data.load_mnist().train_images
    records.save(
        "distance_to_limit",
        {
            "threads": torch.get_num_threads(),
            "default batch": DEFAULT,
            "by batch size": measure(images),
            "where a step goes": where_it_goes(images),
        },
    )


if __name__ == "__main__":
    main()
