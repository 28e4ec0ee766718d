"""Write all marks to a table, in which "not graded" is not a zero, and late work has lost its
share of all points.

usage: python grading/marks.py [--students LIST.txt] [--to marks.csv]     (run in the course root)

LIST.txt names all students of the course, one a line, as they stand under submitted/: who handed
in nothing has a row too.
"""

import argparse
import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from grading.grade import finished  # noqa: E402
from grading.late import settle  # noqa: E402

NAME = "tutorial_7"
COLUMNS = ("student", "state", "points", "late", "mark", "of", "handed_in", "look_at")


def rows(root: Path, listed: list[str]):
    """Yield a row for each student: of the gradebook, under submitted/, or in the list."""
    from nbgrader.api import Gradebook

    address = f"sqlite:///{root / 'gradebook.db'}"
    with Gradebook(address) as gradebook:
        known = [s.student.id for s in gradebook.assignment_submissions(NAME)]
    settle(root, NAME, [student for student in known if finished(root, student)])
    with Gradebook(address) as gradebook:
        most = gradebook.find_assignment(NAME).max_score
        graded = {s.student.id: s for s in gradebook.assignment_submissions(NAME)}
        handed_in = {
            path.parent.parent.name for path in (root / "submitted").glob(f"*/{NAME}/*.ipynb")
        }
        for student in sorted(handed_in | set(graded) | set(listed)):
            submission = graded.get(student)
            row = dict.fromkeys(COLUMNS, "") | {"student": student, "of": f"{most:g}"}
            if student not in handed_in and submission is None:
                yield row | {"state": "nothing handed in"}
            elif submission is None or not finished(root, student):
                yield row | {"state": "not graded"}
            else:
                yield row | _graded(submission, root, student)


def _graded(submission, root, student):
    waiting = any(
        grade.needs_manual_grade for notebook in submission.notebooks for grade in notebook.grades
    )
    late = submission.late_submission_penalty or 0
    text = (root / "autograded" / student / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
    row = {
        "points": f"{submission.score:g}",
        "late": f"{-late:g}" if late else "0",
        "handed_in": submission.timestamp or "",
        "look_at": "yes" if "**Noted while grading**" in text else "",
    }
    if waiting:
        return row | {"state": "written answers not graded"}
    return row | {"state": "graded", "mark": f"{max(0, submission.score - late):g}"}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--students", type=Path)
    parser.add_argument("--to", type=Path, default=Path("marks.csv"))
    arguments = parser.parse_args()
    if not Path("gradebook.db").exists():
        sys.exit(
            "Run this in the course root, behind nbgrader autograde: there is no gradebook.db here."
        )
    if arguments.students and not arguments.students.exists():
        sys.exit(f"{arguments.students}: there is no such file.")
    listed = arguments.students.read_text().split() if arguments.students else []
    table = list(rows(Path(), listed))
    with arguments.to.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(table)
    states = {
        state: sum(row["state"] == state for row in table)
        for state in sorted({row["state"] for row in table})
    }
    print(f"{arguments.to}: " + ", ".join(f"{n} {state}" for state, n in states.items()))


if __name__ == "__main__":
    main()
