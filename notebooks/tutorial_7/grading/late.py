"""Points that late work loses."""

import math

from nbgrader.plugins import LateSubmissionPlugin
from traitlets import Float


class Late(LateSubmissionPlugin):
    """A share of the points for each day begun."""

    share_a_day = Float(0.1, help="share of the points that is lost for each day begun").tag(
        config=True
    )

    def late_submission_penalty(self, student_id, score, total_seconds_late):
        """Return the points that are taken off."""
        days = math.ceil(total_seconds_late / 86_400)
        return min(score, score * self.share_a_day * days)
