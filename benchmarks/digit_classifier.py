"""Train the small digit classifier in whose features the Fréchet distances are measured.

usage: python benchmarks/digit_classifier.py                       (half a minute on one core)

It writes lecture_utils/weights/digit_classifier.safetensors and .json. A new classifier is a new
unit of measurement: all Fréchet distances of the records (study.csv, previews.json) would have to
be measured anew with it.
"""

from lecture_utils import data, frechet, pretrained, training

import records
import torch
from safetensors.torch import save_file

NAME = "digit_classifier"


def main():
    mnist = data.load_mnist()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = frechet.untrained_classifier()
    history = training.fit_classifier(network, mnist.train_images, mnist.train_labels, device="cpu")
    with torch.no_grad():
        guess = network(data.to_grey(mnist.test_images)).argmax(dim=1)
    accuracy = (guess == mnist.test_labels).double().mean().item()
    pretrained.FOLDER.mkdir(exist_ok=True)
    save_file(network.state_dict(), pretrained.FOLDER / f"{NAME}.safetensors")
    record = {"cross-entropy (nats), by epoch": history.loss, "test accuracy": accuracy}
    records.save(NAME, record, folder=pretrained.FOLDER)


if __name__ == "__main__":
    main()
