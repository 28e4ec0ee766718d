"""Grade all submissions that wait, several at once, and go on where it was interrupted.

usage: python grading/grade.py [--processes N] [--student NAME ...] [--force]     (in the course
root, behind collecting)

The same as `nbgrader autograde tutorial_7`, one command a student. Interrupt it, lose the power,
start it again: who is graded stays graded, and who was graded half is graded anew.
"""

import argparse
import contextlib
import fcntl
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

NAME = "tutorial_7"
SCORED = "scored"  # in the metadata of a graded notebook; the last thing that is written
GIB_EACH = 1.5  # of memory, for one submission: the grader and the student's process


def finished(root: Path, student: str) -> bool:
    """Whether the student's newest submission is graded to its end."""
    graded, handed_in = (root / kind / student / NAME for kind in ("autograded", "submitted"))
    return _when(graded) == _when(handed_in) and _is_scored(graded / f"{NAME}.ipynb")


def _when(folder):
    with contextlib.suppress(OSError):
        return (folder / "timestamp.txt").read_text().strip()
    return None


def _is_scored(path):
    import nbformat

    try:
        return bool(nbformat.read(path, as_version=4).metadata.get(SCORED))
    except Exception:  # absent, or cut off in the middle
        return False


def waiting(root: Path) -> list[str]:
    """The students whose submission is not graded, in order."""
    handed_in = sorted(p.parent.parent.name for p in (root / "submitted").glob(f"*/{NAME}/*.ipynb"))
    return [student for student in dict.fromkeys(handed_in) if not finished(root, student)]


def autograde(student: str, root: Path) -> str | None:
    """Grade one submission in a process of its own; return None, or why it was not graded."""
    command = [sys.executable, "-m", "nbgrader", "autograde", NAME, f"--student={student}"]
    done = subprocess.run(
        [*command, "--force"], cwd=root, capture_output=True, text=True, errors="replace"
    )
    if finished(root, student):
        return None
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "Error" in line]
    return next(iter(errors[-1:] or lines[-1:]), "nbgrader said nothing")[:300]


def autograde_all(students: list[str], root: Path, processes: int) -> dict[str, str]:
    """Grade these, with a progress bar; return {student: why not} of those that were not graded."""
    from tqdm.auto import tqdm

    failed = {}
    with ThreadPoolExecutor(processes) as pool:
        jobs = {pool.submit(autograde, student, root): student for student in students}
        bar = tqdm(as_completed(jobs), total=len(jobs), unit="submission", desc="graded")
        try:
            for job in bar:
                if why := job.result():
                    failed[jobs[job]] = why
                    bar.write(f"{jobs[job]}: {why}")
        except KeyboardInterrupt:
            for job in jobs:
                job.cancel()
            raise
    return failed


@contextlib.contextmanager
def alone(root: Path):
    """Refuse to grade a course that somebody else is grading just now."""
    with open(root / ".grading.lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            sys.exit(f"This course is being graded already, by {lock.read() or 'somebody'}.")
        lock.truncate(0)
        lock.write(f"process {os.getpid()} of user {os.environ.get('USER', os.getuid())}")
        lock.flush()
        yield


def default_processes() -> int:
    """One a core, and not more than fit into half of the memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(os.cpu_count() or 1, int(memory / 2 / GIB_EACH)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=default_processes())
    parser.add_argument("--student", action="append", help="grade only this one")
    parser.add_argument("--force", action="store_true", help="also who is graded already")
    arguments = parser.parse_args()
    root = Path()
    if not (root / "gradebook.db").exists():
        sys.exit("Run this in the course root, behind generate_assignment: no gradebook.db here.")
    with alone(root):
        open_ones = waiting(root)
        everybody = sorted({p.parent.name for p in (root / "submitted").glob(f"*/{NAME}")})
        students = everybody if arguments.force else open_ones
        students = [s for s in students if not arguments.student or s in arguments.student]
        try:
            failed = autograde_all(students, root, arguments.processes)
        except KeyboardInterrupt:
            sys.exit("\nInterrupted. Run it again to go on.")
    print(
        f"{len(students) - len(failed)} graded, {len(everybody) - len(students)} were graded before"
        f" or not asked for, {len(failed)} could not be graded."
    )
    if failed:
        sys.exit("\n".join(f"{student}: {why}" for student, why in failed.items()))


if __name__ == "__main__":
    main()
