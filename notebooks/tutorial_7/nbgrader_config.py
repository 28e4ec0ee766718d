"""nbgrader's configuration of this course root: limits while grading, and what to do with damaged submissions.

nbgrader reads it when its commands run in this folder. README.md beside this file has the commands.
"""

import math
import sys
import time
from pathlib import Path

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbformat import NotebookNode
from nbgrader import preprocessors
from traitlets import Integer

sys.path.insert(0, str(Path(__file__).parent))
from grading.harmless import Harmless  # noqa: E402
from grading.repair import Repair  # noqa: E402

c = get_config()  # noqa: F821 (defined by whoever reads this file)

c.CourseDirectory.course_id = "lecture_11"

# Seconds for one cell, then it is interrupted and has failed. The slowest honest cell trains for 5 epochs: 20 s on two cores.
c.Execute.timeout = 120
c.Execute.iopub_timeout = 10

# A warning printed to stderr is no mistake; without these two lines nbgrader gives 0 points for it.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"[\s\S]"

c.ClearSolutions.text_stub = "*Your answer here.*"

# What a learning platform makes of the file name: STUDENT_..._tutorial_7....ipynb
c.FileNameCollectorPlugin.named_regexp = r"(?:.*/)?(?P<student_id>[^/_]+)_(?:[^/]*_)?(?P<file_id>tutorial_7)[^/]*\.ipynb$"


class LimitedExecute(preprocessors.Execute):
    """Run a submission within limits of time and output, and always grade it.

    nbgrader's own Execute gives up the whole submission when its kernel dies or does not listen to an interrupt, and keeps
    all output in memory. Here the cells that cannot be run any more fail instead, and output beyond a limit is dropped.
    """

    notebook_timeout = Integer(900, help="seconds for a whole submission").tag(config=True)
    output_limit = Integer(1_000_000, help="characters and messages of output that are kept for one cell").tag(config=True)

    def preprocess(self, nb, resources, km=None):
        self._lost, self._end = None, time.monotonic() + self.notebook_timeout
        self.shutdown_kernel = "immediate"  # all output is here; to wait for the kernel's own end costs seconds, or forever
        return super().preprocess(nb, resources, km)

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type != "code":
            return cell, resources
        self._kept = 0
        if self._lost is None and time.monotonic() > self._end:
            self._lost = f"The notebook ran for more than {self.notebook_timeout} s."
        if self._lost is None:
            try:
                return super().preprocess_cell(cell, resources, index)
            except DeadKernelError:
                self._lost = f"The kernel died in cell {index + 1}."
            except CellTimeoutError:
                self._lost = f"The kernel could not be interrupted in cell {index + 1}."
            self.log.warning("%s The cells after it fail.", self._lost)
        error = f"{self._lost} This cell was not run."
        cell.outputs.append(NotebookNode(output_type="error", ename="NotRun", evalue=error, traceback=[f"NotRun: {error}"]))
        return cell, resources

    def _get_timeout(self, cell):
        left = max(1, math.ceil(self._end - time.monotonic()))  # rounded up: what comes next is too late for certain
        return min(super()._get_timeout(cell) or left, left)

    def output(self, outs, msg, display_id, cell_index):
        if msg["msg_type"] == "error":
            return super().output(outs, msg, display_id, cell_index)
        self._kept += 1000 + len(str(msg["content"]))  # a message has its cost, however short
        if self._kept > self.output_limit:
            return None
        return super().output(outs, msg, display_id, cell_index)


c.Autograde.sanitize_preprocessors = [
    preprocessors.ClearOutput, Repair, preprocessors.CheckCellMetadata]
c.Autograde.autograde_preprocessors = [
    LimitedExecute, preprocessors.IgnorePattern, ClearMetadataPreprocessor, preprocessors.LimitOutput,
    preprocessors.SaveAutoGrades, preprocessors.AssignLatePenalties, preprocessors.CheckCellMetadata, Harmless]
