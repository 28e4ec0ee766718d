"""The figures: what they show, and what they refuse."""

import matplotlib.pyplot as plt
import pytest

from lecture_utils import plotting
from lecture_utils.evaluation import Estimate


def test_nat_axis_keeps_one_scale_and_sets_published_figures_apart():
    bars = {"independent pixels": Estimate(-206.5, 0.4), "mixture": Estimate(-131.7, 0.3)}
    alone, beside = plotting.nat_axis(bars), plotting.nat_axis(bars, {"VAE elsewhere": -86.76})
    assert alone.axes[0].get_xlim() == beside.axes[0].get_xlim()
    texts = [text.get_text() for text in beside.axes[0].texts]
    assert (
        "−131.7 ± 0.3  (+74.8)" in texts
        and "−86.8" in texts
        and "published, not computed here" in texts
    )
    assert not any("published" in text.get_text() for text in alone.axes[0].texts)
    plt.close("all")
    with pytest.raises(ValueError, match="negative"):
        plotting.nat_axis({"error": Estimate(131.7, 0.3)})
