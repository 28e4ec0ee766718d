"""What importing the package does: little, and the same in any order."""

import os

import pytest

from tests.helpers import output_of


def test_importing_the_package_loads_no_heavy_library():
    code = "import lecture_utils, sys; print([m for m in ('torch', 'matplotlib', 'sklearn', 'sympy') if m in sys.modules])"
    assert output_of(code) == "[]"


def test_importing_package_and_torch_costs_at_most_1_2_times_torch_alone():
    code = """if True:
        from time import process_time as now  # CPU seconds: another process on the machine must not fail this test
        start = now()
        import lecture_utils
        before_torch = now()
        import torch
        print((now() - start) / (now() - before_torch))"""
    assert min(float(output_of(code)) for _ in range(3)) <= 1.2


def test_waiting_threads_sleep_unless_the_user_says_otherwise():
    code = "import lecture_utils, os; print(os.environ['OMP_WAIT_POLICY'])"
    assert output_of(code, OMP_WAIT_POLICY=None) == "PASSIVE"
    assert output_of(code, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"


def test_the_linear_algebra_of_numpy_and_scipy_runs_in_one_thread_unless_the_user_says_otherwise():
    code = """if True:
        import lecture_utils
        import numpy, scipy.linalg
        from threadpoolctl import threadpool_info
        print({pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"})"""
    one, two = output_of(code, OPENBLAS_NUM_THREADS=None), output_of(code, OPENBLAS_NUM_THREADS="2")
    if "set()" in one:
        pytest.skip("this numpy was built with another library")
    assert one == "{1}"
    assert two == "{2}" or os.cpu_count() == 1
