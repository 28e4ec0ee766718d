"""The README's first picture: what its caption says of the weights is what their record says."""

import re
from pathlib import Path

from lecture_utils import pretrained

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_caption_states_what_the_weights_cost():
    text = README.read_text(encoding="utf-8")
    caption = re.search(r"^\*Real and fake\..*?\*$", text, re.DOTALL | re.MULTILINE)[0]
    record = pretrained.load("vae")[1]
    minutes = f"{record['seconds'] / 60:.0f} minutes on one core"
    assert f"{record['epochs']} epochs, {minutes}" in caption and record["threads"] == 1
