"""How time and memory grow with the number of images, the size of the latent space, and k.

usage: python benchmarks/growth.py

Each point runs in a process of its own, forked from one that has done nothing but import torch. Its
memory is the largest resident set while it works, sampled every millisecond, less what was resident
before: libraries, data and the model. The slope of time is that of a straight line through the
logarithms: 1 means in proportion, 0 means flat. Memory is given as its growth with each doubling,
since it can be nearly 0.

The C library is told to return every large buffer at once (`RETURN_AT_ONCE`). Left alone it keeps
some of them, more or fewer from run to run, and the same work peaks at 48 or at 94 MB. Returning
them costs up to a third more time.
"""

import math
import multiprocessing
import os
import sys
import threading
import time
from statistics import linear_regression

import psutil
import records

IMAGES = (7500, 15000, 30000, 60000)
LATENTS = (2, 20, 200)
SAMPLES = (50, 500, 5000)
RETURN_AT_ONCE = {
    "MALLOC_MMAP_THRESHOLD_": "1000000"
}  # bytes; the GNU library's name, others ignore it


class PeakMemory:
    """The largest resident set of this process while the block runs, above that at its start, in
    megabytes."""

    def __enter__(self):
        self.process, self.done = psutil.Process(), threading.Event()
        self.before = self.peak = self.process.memory_info().rss
        self.sampler = threading.Thread(target=self._sample)
        self.sampler.start()
        return self

    def _sample(self):
        while not self.done.wait(0.001):
            self.peak = max(self.peak, self.process.memory_info().rss)

    def __exit__(self, *_):
        self.done.set()
        self.sampler.join()
        self.megabytes = (self.peak - self.before) / 1e6


def run_point(what, value):
    """In the child: do the work twice and return the seconds of the faster one and the megabytes of
    the first."""
    from lecture_utils import bounds, data, models, training

    import torch

    images = data.load_mnist().train_images
    model = models.VAE(latent_dim=value if what == "latents" else 20)
    # Torch loads more on its first step.
    training.fit(models.VAE(), images[:512], epochs=1, device="cpu", progress=False)

    def work():
        if what == "k":
            with torch.no_grad():
                bounds.importance_weighted_bound(
                    model,
                    data.binarize(images[:100]),
                    value,
                    generator=torch.Generator().manual_seed(0),
                )
        else:
            training.fit(
                model,
                images[: value if what == "images" else 30000],
                epochs=1,
                device="cpu",
                progress=False,
            )

    with PeakMemory() as memory:
        first = seconds_of(work)
    # Memory of the first time only: what it took may be there for the second.
    return {"seconds": min(first, seconds_of(work)), "megabytes": memory.megabytes}


def seconds_of(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def slopes(points):
    """How seconds and megabytes grow along the points of one curve."""
    doublings = [math.log2(point["value"]) for point in points]
    time_slope = linear_regression(doublings, [math.log2(point["seconds"]) for point in points])
    memory_slope = linear_regression(doublings, [point["megabytes"] for point in points])
    return {
        "slope of time": round(time_slope.slope, 2),
        "memory per doubling (MB)": round(memory_slope.slope, 1) or 0.0,  # never -0.0
    }


def series(processes, what, values):
    """All points of one curve, and their slopes."""
    points = []
    for value in values:
        point = processes.apply(run_point, (what, value))
        points.append(
            {
                "value": value,
                "seconds": round(point["seconds"], 3),
                "megabytes": round(point["megabytes"], 1),
            }
        )
        print(what, points[-1], flush=True)
    return {"points": points} | slopes(points)


def main():
    os.environ.update(RETURN_AT_ONCE)  # read when the server of the forks starts
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lecture_utils.training"])
    with context.Pool(1, maxtasksperchild=1) as processes:
        records.save(
            "growth",
            {
                "one epoch of fit, against the number of images": series(
                    processes, "images", IMAGES
                ),
                "one epoch of fit on 30,000 images, against the latent dimensions": series(
                    processes, "latents", LATENTS
                ),
                "importance-weighted bound of 100 images, against k": series(
                    processes, "k", SAMPLES
                ),
            },
        )


if __name__ == "__main__":
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    main()
