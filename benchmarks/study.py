"""The recorded study of notebook 07: AE, DAE and VAE over noise rates, dimensions, epochs, seeds.

usage: python benchmarks/study.py [--processes 2] [--record FILE] [--bfloat16] [--list]

Trains what is not yet in results/study.csv and appends each run as soon as it is done, so it can be
stopped at any time and started again. A run is known by its model, noise, dimension, epochs, seed
and precision. `study.CORE` is trained in bfloat16, too, where the processor is fast at it, or with
`--bfloat16`, which asks for that precision alone and rounds by `rounded_products`.
`lecture_utils.study` says what is asked of the record.
"""

import argparse
import concurrent.futures
import contextlib
import functools
import multiprocessing
import os
import time
import warnings
from pathlib import Path

from lecture_utils import comparison, data, models, study, training

import torch

MODELS = {"AE": models.Autoencoder, "DAE": models.DenoisingAutoencoder, "VAE": models.VAE}
BASELINES = [study.Cell("PCA", 0.0, latent, 0) for latent in study.LATENTS[::-1]]
BASELINES += [study.Cell("pixels", 0.0, 784, 0)]


def plan():
    """Yield (cell, seed) in the order of work: what is most needed first."""
    short_core, core_8, core_20 = (
        [cell for cell in study.CORE if cell.epochs == epochs] for epochs in study.CORE_EPOCHS
    )
    short, long = ([cell for cell in study.OTHERS if cell.epochs == n] for n in study.EPOCHS)
    first = [cell for cell in short if cell.kind != "DAE" or cell.latent == 20]
    for cells, seeds in (
        (short_core, range(10)),
        (BASELINES, range(1)),
        (first, range(1)),
        (core_8, range(3)),
        (first, range(3)),
        (core_8, range(5)),
        (short, range(3)),
        (core_20, range(3)),
        (short_core, range(20)),
        (core_8, range(10)),
        (core_20, range(10)),
        (long, range(3)),
        (study.CORE, range(20)),
        (study.OTHERS, range(10)),
    ):
        yield from ((cell, seed) for seed in seeds for cell in cells)


def precisions() -> list[str]:
    """Return the precisions in which `fit` can train on this processor."""
    fast = torch.cpu._is_avx512_bf16_supported()
    return ["float32", "bfloat16"] if fast else ["float32"]


def missing(file=study.FILE, only=None):
    """Return what is still to be run, (cell, seed, precision), in the order of work."""
    done = {(cell, seed, precision) for cell, seed, precision, *_ in study.read(file)}
    chosen = only or precisions()
    wanted = [
        (cell, seed, each)
        for each in chosen
        for cell, seed in plan()
        if each == "float32" or cell in study.CORE
    ]
    return [run for run in dict.fromkeys(wanted) if run not in done]


@contextlib.contextmanager
def rounded_products():
    """A context in which products of bfloat16 matrices are float32 ones, rounded at the end.

    That is what AVX512-BF16 and AMX do: factors of 8 significant bits, sums in float32, one
    rounding. Without them torch does the same some eight times slower, in a loop of its own.
    """

    def of_two(a, b):
        out = torch.empty(len(a), b.shape[1])
        return torch.mm(a.float(), b.float(), out=out).to(a.dtype)

    def added(bias, a, b, *, beta=1, alpha=1):
        out = torch.empty(len(a), b.shape[1])
        factors = bias.float(), a.float(), b.float()
        return torch.addmm(*factors, beta=beta, alpha=alpha, out=out).to(a.dtype)

    # In what is replaced, only the overload with `out` is still torch's own.
    with torch.library._scoped_library("aten", "IMPL") as library:
        with warnings.catch_warnings(action="ignore"):  # that a kernel is replaced
            library.impl("mm", of_two, "CPU")
            library.impl("addmm", added, "CPU")
        yield


def build(cell, seed):
    options = {"noise": cell.noise} if cell.kind == "DAE" else {}
    return MODELS[cell.kind](latent_dim=cell.latent, seed=seed, **options)


@functools.cache
def material():
    """The data, once in a process."""
    torch.set_num_threads(1)
    mnist = data.load_mnist()
    return mnist, comparison.images(mnist)


def run(cell, seed, precision):
    """Train and measure one model; return its measures."""
    mnist, images = material()
    if cell.kind == "PCA":
        return comparison.measure_pca(images, cell.latent, seed)
    if cell.kind == "pixels":
        return comparison.measure_pixels(images)
    os.environ["LECTURE_PRECISION"] = precision
    model = training.initialise(build(cell, seed), mnist.train_images)
    options = {"epochs": cell.epochs, "seed": seed, "device": "cpu", "progress": False}
    slow = precision == "bfloat16" and precision not in precisions()
    with rounded_products() if slow else contextlib.nullcontext():
        training.fit(model, mnist.train_images, **options)
    return comparison.measure(model, images, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--record", type=Path, default=study.FILE, help="where to append")
    parser.add_argument("--bfloat16", action="store_true", help="in bfloat16, fast or slow")
    parser.add_argument("--list", action="store_true", help="say what is still to be run")
    arguments = parser.parse_args()
    runs = missing(arguments.record, ["bfloat16"] if arguments.bfloat16 else None)
    print(f"{len(runs)} runs to go")
    if arguments.list or not runs:
        return
    machine = torch.backends.cpu.get_cpu_capability()
    context = multiprocessing.get_context("spawn")
    start = time.perf_counter()
    with concurrent.futures.ProcessPoolExecutor(arguments.processes, context) as pool:
        # submitted in pairs, so that a stop loses no more than what is running
        waiting, running = iter(runs), {}
        while True:
            while len(running) < arguments.processes and (each := next(waiting, None)):
                running[pool.submit(run, *each)] = each
            if not running:
                return
            done, _ = concurrent.futures.wait(running, return_when="FIRST_COMPLETED")
            for future in done:
                cell, seed, precision = running.pop(future)
                study.append(arguments.record, cell, seed, precision, machine, future.result())
                minutes = (time.perf_counter() - start) / 60
                print(f"{minutes:6.1f} min  {cell}, seed {seed}, {precision}", flush=True)


if __name__ == "__main__":
    main()
