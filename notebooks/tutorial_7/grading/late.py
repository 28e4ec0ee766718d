"""Points that late work loses."""

import math
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.preprocessors import AssignLatePenalties
from traitlets import Float, List


class Late(LateSubmissionPlugin):
    """A share of the points for each day begun."""

    share_a_day = Float(0.1, help="share of the points that is lost for each day begun").tag(
        config=True
    )

    def late_submission_penalty(self, student_id, score, total_seconds_late):
        """Return the points that are taken off."""
        days = math.ceil(total_seconds_late / 86_400)
        return min(score, score * self.share_a_day * days)


class Settle(AssignLatePenalties):
    """nbgrader's own, also among the steps of the feedback, where all are told what to display."""

    display_data_priority = List().tag(config=True)


def settle(root: Path, assignment: str, students: list[str]) -> None:
    """Write anew what these students lose in the gradebook: the share of all points that there are
    now, those given by hand among them.

    The points themselves are never reduced, so whoever is settled twice loses no more.
    """
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    penalties = Settle(config=config)
    about = {
        "notebook": assignment,
        "assignment": assignment,
        "db_url": f"sqlite:///{root / 'gradebook.db'}",
    }
    for student in students:
        resources = {"nbgrader": about | {"student": student}}
        penalties.preprocess(NotebookNode(cells=[]), resources)
