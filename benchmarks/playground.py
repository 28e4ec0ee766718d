"""Train the models of the web edition's playground, and round their weights to 16 bits.

usage: python benchmarks/playground.py [EPOCHS]      (about four minutes a model on one core)

Writes lecture_utils/weights/playground_*.safetensors and playground.json, their record: epochs,
training loss, distance to the model with 32 bits, and log p(x) of 500 test images, all in nats.
"""

import json
import sys

import torch
from safetensors.torch import save_file

from lecture_utils import data, playground, training


def main(epochs):
    mnist = data.load_mnist()
    binary_test = data.binary_test_set(mnist)
    record = {}
    playground.WEIGHTS.mkdir(exist_ok=True)
    for name, (file, kind, latent_dim) in playground.SHIPPED.items():
        model = kind(latent_dim=latent_dim)
        history = training.fit(model, mnist.train_images, epochs=epochs)
        exact = playground.folded(model)
        halves = {key: value.half() for key, value in exact.state_dict().items()}
        save_file(halves, playground.WEIGHTS / f"playground_{file}.safetensors")
        rounded = playground.shipped(name)
        difference = (loss(rounded, binary_test) - loss(exact, binary_test)).abs()
        about = playground.packed(rounded, binary_test, mnist.test_labels)["about"]
        record[name] = {
            "epochs": epochs, "training loss (nats)": round(history.loss[-1], 2),
            "test loss (nats)": round(loss(exact, binary_test).mean().item(), 2),
            "distance to float32 (nats)": {"mean": round(difference.mean().item(), 4),
                                           "largest": round(difference.max().item(), 3)},
            "log p(x) (nats)": about["surprise"],
        }
        print(name, {key: value for key, value in record[name].items() if "log" not in key})
    playground.RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@torch.no_grad()
def loss(model, images):
    """The loss of each image [N] in nats, with the same noise for all models."""
    return torch.cat([sum(model.loss_terms(batch, torch.Generator().manual_seed(0)))
                      for batch in images.split(1000)])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
