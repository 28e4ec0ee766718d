"""Run the unit tests and all notebooks as on other machines: `make test-processors`, about an hour.

usage: python tools/processors.py [MACHINE ...]      (without arguments: all of them)

A library chooses its code by the processor, and sums are then added up in another order, with or
without fused multiplication. Each of the variables below reaches one library only, and none of them
turns bfloat16 off: hence LECTURE_PRECISION. What every library then reports is printed first.
ARM and AMD processors are not imitated by this; nor is an accelerator.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLOAT32 = {"LECTURE_PRECISION": "float32"}
MACHINES = {
    "laptop": {  # AVX2, as Intel's Haswell (2013) and later ones without AVX512
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    }
    | FLOAT32,
    "old": {  # SSE 4 alone, as in 2008
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Nehalem",
    }
    | FLOAT32,
    "compatible": {"MKL_CBWR": "COMPATIBLE"} | FLOAT32,  # MKL's own code for any processor
    # This one, with bfloat16, if it has it; with one thread each `make test` runs it. Without
    # MKL_DYNAMIC=FALSE, MKL and with it torch take no more threads than there are cores.
    "this-4": {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4", "MKL_DYNAMIC": "FALSE"},
}
REPORT = """
import torch, numpy, scipy.linalg
from threadpoolctl import threadpool_info
from lecture_utils import training
x = torch.rand(64, 64)
with torch.backends.mkl.verbose(torch.backends.mkl.VERBOSE_ON):
    x @ x
torch.nn.functional.conv2d(torch.rand(8, 16, 64, 64), torch.rand(16, 16, 3, 3))  # by oneDNN
print("torch:", torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), "threads")
print("bfloat16 in training:", training.mixed_precision("cpu")._enabled)
for pool in threadpool_info():
    print(pool["internal_api"], pool["version"], pool.get("architecture", ""), pool["num_threads"])
"""
TESTS = [
    *("-m", "pytest", "-q", "-n", "2", "--dist", "loadscope", "--no-loadscope-reorder", "--nbval"),
    *("-m", ""),  # with the cases that `make test` leaves out
    *("tests/unit", "notebooks"),
]


def reports(environment: dict[str, str]) -> list[str]:
    """What torch, MKL, oneDNN and OpenBLAS say of themselves in this environment."""
    command = [sys.executable, "-c", REPORT]
    environment = environment | {"ONEDNN_VERBOSE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        return [done.stderr]
    said = (done.stdout + done.stderr).split("\n")
    telling = ("MKL_VERBOSE oneMKL", "torch:", "bfloat16", "openblas", "mkl", "openmp")
    return [line[:200] for line in said if line.startswith(telling) or ",isa:" in line]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("machines", nargs="*", choices=[*MACHINES, []], metavar="MACHINE")
    failed = []
    for name in parser.parse_args().machines or MACHINES:
        environment = os.environ | MACHINES[name]
        print(f"\n=== {name}: {MACHINES[name]}", *reports(environment), sep="\n", flush=True)
        start = time.monotonic()
        done = subprocess.run([sys.executable, *TESTS], env=environment, cwd=ROOT)
        failed += [name] * (done.returncode != 0)
        print(f"=== {name}: {(time.monotonic() - start) / 60:.1f} minutes", flush=True)
    if failed:
        sys.exit(f"Failed as on: {', '.join(failed)}")


if __name__ == "__main__":
    main()
