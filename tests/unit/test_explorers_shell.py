"""The shell of the explorers: a picture and its words, drawn again when a control moves."""

from lecture_utils.explorers import shell

import ipywidgets
import pytest
import torch


def test_the_words_below_the_picture_are_escaped_and_follow_the_control():
    control = ipywidgets.IntSlider(value=1, description="n")
    *_, picture, words = shell.explorer(
        lambda n: shell.Frame(b"%d" % n, f"{n} < 5"), {"n": control}
    ).children
    control.value = 3
    assert picture.value == b"3" and words.value == "3 &lt; 5"


def test_drawing_uses_one_thread_and_gives_the_others_back_even_after_an_error():
    def draw(n):
        assert torch.get_num_threads() == 1
        if n == 2:
            raise RuntimeError("while drawing")
        return shell.Frame(b"", "")

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        control = ipywidgets.IntSlider(value=1)
        shell.explorer(draw, {"n": control})
        with pytest.raises(RuntimeError, match="while drawing"):
            control.value = 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
