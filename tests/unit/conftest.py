"""What every unit test needs."""

import os

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    """Each test draws the same numbers whatever ran before it; LECTURE_TEST_SEED asks for others.

    A test that passes for one seed alone shows nothing: run those that draw with a few.
    """
    torch.manual_seed(int(os.environ.get("LECTURE_TEST_SEED", 0)))
