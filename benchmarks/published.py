"""Train the two models of Burda et al. (2015), table 1, one stochastic layer, and record their test log-likelihood.

usage: python benchmarks/published.py vae      the VAE, k = 1     (published: -86.76 nats)
       python benchmarks/published.py iwae     the IWAE, k = 5    (published: -85.54 nats)

The protocol is theirs: 784-200-200-50 with tanh, binary pixels drawn afresh each time an image is seen, all 60,000
training images, and the importance-weighted estimate with 5000 samples on the 10,000 test images (one seeded binary draw).
Three things differ. Schedule: batches of 200 and a one-cycle learning rate instead of 3280 epochs at batch 20. Gradient:
the doubly reparameterized estimator (Tucker et al. 2019), which has the same expectation and less variance. Start:
torch's own initial weights, with the output bias at the mean image.

Each run saves its whole state after every epoch: interrupt it, start it again, and it goes on from there. To spread a run
over quiet hours of a machine in use, start it with the operating system's lowest priority (Linux: chrt --idle 0 ...).
Writes benchmarks/results/published_<name>.json and .safetensors when it is done.
"""

import math
import os
import sys
import time

from lecture_utils import data, evaluation, models, objectives, training

import recording
import torch
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm

SAMPLES = {"vae": 1, "iwae": 5}  # k of the training objective
EPOCHS = {"vae": 1200, "iwae": 800}
BATCH_SIZE, LEARNING_RATE = 200, 2e-3
EVALUATION_SAMPLES = 5000
TEST_EVERY, TEST_IMAGES, TEST_SAMPLES = 50, 2000, 100  # of the curve; nothing is chosen by it


def build():
    """The architecture of Burda et al. 2015, section 5: two hidden layers of 200 tanh units, 50 latent units."""
    return models.VAE(latent_dim=50, hidden=(200, 200), activation=nn.Tanh)


def doubly_reparameterized_loss(model, x, k, generator):
    """Return minus the importance-weighted bound of k samples in nats, [B, D] -> [B], with a low-variance gradient.

    The encoder's gradient has two parts: through z, and through the parameters of log q(z|x) itself. The second has no
    signal of its own; Tucker et al. (2019, eq. 8) rewrite it through z, which leaves squared weights on the path through
    z. For k = 1 it is the estimator of Roeder et al. (2017), whose variance is 0 where q(z|x) is the posterior.
    """
    mu, logvar = model.encode(x)
    z = objectives.reparameterize(mu.expand(k, *mu.shape), logvar.expand(k, *logvar.shape), generator)
    log_w = (objectives.bernoulli_log_likelihood(model.decode(z), x) + objectives.standard_normal_log_density(z)
             - objectives.gaussian_log_density(z, mu.detach(), logvar.detach()))
    weights = torch.softmax(log_w.detach(), dim=0)
    if z.requires_grad:
        z.register_hook(lambda gradient: weights[..., None] * gradient)  # the second factor of the squared weights
    surrogate = -(weights * log_w).sum(dim=0)
    bound = torch.logsumexp(log_w.detach(), dim=0) - math.log(k)
    return surrogate - surrogate.detach() - bound  # the value of the bound, the gradient of the surrogate


class Run:
    """One training that survives an interruption: everything that changes is in `state`, saved after each epoch."""

    def __init__(self, name, images, test_images, epochs, checkpoint):
        self.name, self.images, self.test_images, self.epochs, self.checkpoint = name, images, test_images, epochs, checkpoint
        self.model, self.generator = build(), torch.Generator().manual_seed(0)
        self.model.set_output_bias(data.to_grey(images).mean(dim=0), len(images))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE, fused=True)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=LEARNING_RATE, total_steps=epochs * -(-len(images) // BATCH_SIZE), final_div_factor=1e3)
        self.record = {"epochs": 0, "seconds": 0.0, "CPU seconds": 0.0, "training bound": [], "test bound": {}}
        if checkpoint.exists():
            self._load()

    def train(self, progress=True):
        """Go on to the last epoch."""
        for _ in tqdm(range(self.record["epochs"], self.epochs), desc=self.name, disable=not progress):
            wall, cpu = time.perf_counter(), time.process_time()
            self.record["training bound"].append(-self._epoch())
            self.record["epochs"] += 1
            if self.record["epochs"] % TEST_EVERY == 0:
                estimate = evaluation.log_likelihood_on(self.model, self.test_images[:TEST_IMAGES], TEST_SAMPLES)
                self.record["test bound"][str(self.record["epochs"])] = round(estimate.mean, 3)
            self.record["seconds"] += time.perf_counter() - wall
            self.record["CPU seconds"] += time.process_time() - cpu
            self._save()

    def _epoch(self):
        total = 0.0
        for rows in torch.randperm(len(self.images), generator=self.generator).split(BATCH_SIZE):
            x = data.binarize(self.images[rows], self.generator)
            losses = doubly_reparameterized_loss(self.model, x, SAMPLES[self.name], self.generator)
            self.optimizer.zero_grad()
            losses.mean().backward()
            self.optimizer.step()
            self.schedule.step()
            total += losses.detach().sum()
        if not math.isfinite(total):
            raise FloatingPointError(f"The loss became {total}. Delete {self.checkpoint} and lower LEARNING_RATE.")
        return round(total.item() / len(self.images), 3)

    def _parts(self):
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}

    def _save(self):
        """In one atomic step: an interruption leaves the last epoch's state or this one's, never half a file."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.checkpoint.with_suffix(".part")
        torch.save({name: part.state_dict() for name, part in self._parts().items()}
                   | {"record": self.record, "generator": self.generator.get_state(), "epochs": self.epochs}, scratch)
        os.replace(scratch, self.checkpoint)

    def _load(self):
        state = torch.load(self.checkpoint, weights_only=True)
        if state["epochs"] != self.epochs:
            raise SystemExit(f"{self.checkpoint} is of a run of {state['epochs']} epochs, not {self.epochs}: delete it to start anew.")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.generator.set_state(state["generator"])
        self.record = state["record"]


def main(name):
    mnist = data.load_mnist()
    test_images = data.binary_test_set(mnist)
    run = Run(name, mnist.train_images, test_images, EPOCHS[name], training.cache_dir() / "published" / f"{name}.pt")
    run.train()
    estimate = evaluation.log_likelihood_on(run.model, test_images, n_samples=EVALUATION_SAMPLES)
    elbo = evaluation.elbo_on(run.model, test_images)
    recording.save(f"published_{name}", {
        "threads": torch.get_num_threads(), "k": SAMPLES[name], "batch size": BATCH_SIZE, "learning rate": LEARNING_RATE,
        "test log-likelihood, 5000 samples (nats)": round(estimate.mean, 3), "its standard error": round(estimate.standard_error, 3),
        "test ELBO (nats)": round(elbo.mean, 3), "active units": int(evaluation.active_units(run.model, test_images).sum()),
        **run.record,
    })
    save_file(run.model.state_dict(), recording.RESULTS / f"published_{name}.safetensors")
    print(f"{estimate.mean:.2f} ± {estimate.standard_error:.2f} nats on the test images, by {EVALUATION_SAMPLES} samples")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in SAMPLES:
        sys.exit(__doc__)
    main(sys.argv[1])
