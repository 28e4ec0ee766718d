"""What importing the package does: little, and the same in any order."""

import itertools
import os

import pytest

from tests.helpers import output_of

HEAVY = ("torch", "matplotlib", "sklearn", "sympy", "numpy")


def test_importing_the_package_loads_no_heavy_library():
    code = f"import lecture_utils, sys; print([name for name in {HEAVY} if name in sys.modules])"
    assert output_of(code) == "[]"


@pytest.mark.slow
def test_importing_package_and_torch_costs_at_most_1_2_times_torch_alone():
    """In CPU seconds of the thread: another process on the machine must not fail this test."""
    code = """if True:
        from time import thread_time as now
        start = now()
        import lecture_utils
        before_torch = now()
        import torch
        print((now() - start) / (now() - before_torch))"""
    assert any(float(output_of(code)) <= 1.2 for _ in range(3))  # the first, unless disturbed


def test_waiting_threads_sleep_unless_the_user_says_otherwise():
    code = "import lecture_utils, os; print(os.environ['OMP_WAIT_POLICY'])"
    assert output_of(code, OMP_WAIT_POLICY=None) == "PASSIVE"
    assert output_of(code, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"


OPENBLAS = """
import scipy.linalg
from threadpoolctl import threadpool_info
pools = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
print(sorted({pool["num_threads"] for pool in pools}))
"""
ORDERS = list(itertools.permutations(("lecture_utils", "numpy", "torch")))
UNSET = {"OPENBLAS_NUM_THREADS": None, "MKL_NUM_THREADS": None, "OMP_NUM_THREADS": "2"}
# In `make check` the order that needs most: numpy's threads are there before the package. In
# `make test` one that begins with torch, and one with the package.
MARKS = {
    ("numpy", "lecture_utils", "torch"): [],
    ("torch", "numpy", "lecture_utils"): [pytest.mark.slow],
    ("lecture_utils", "torch", "numpy"): [pytest.mark.slow],
}


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(order, marks=MARKS.get(order, [pytest.mark.matrix]), id="-".join(order))
        for order in ORDERS
    ],
)
def test_openblas_has_one_thread_and_torch_its_own_whatever_is_imported_first(order):
    imports = "".join(f"import {name}\n" for name in order)
    threads = output_of(imports + OPENBLAS + "print(torch.get_num_threads())", **UNSET)
    openblas, torch_threads = threads.split("\n")
    if openblas == "[]":
        pytest.skip("this numpy was built with another library")
    assert openblas == "[1]" and torch_threads == "2"


@pytest.mark.skipif(os.cpu_count() == 1, reason="one core has one thread")
def test_openblas_has_as_many_threads_as_the_user_says():
    code = "import lecture_utils\n" + OPENBLAS
    assert output_of(code, **UNSET | {"OPENBLAS_NUM_THREADS": "2"}) in ("[2]", "[]")
