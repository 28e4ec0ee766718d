"""nbgrader's configuration of this course root: limits while grading, and what to do with damaged submissions.

nbgrader reads it when its commands run in this folder. README.md beside this file has the commands.
"""

import math
import time

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbformat import NotebookNode
from nbgrader import preprocessors
from traitlets import Integer

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


class RestoreCells(preprocessors.OverwriteCells):
    """Bring locked cells back to what was handed out, also those that were deleted.

    nbgrader's own `add_missing_cells` raises a KeyError when the cell above a missing one is missing too.
    """

    def preprocess(self, nb, resources):
        nb, resources = super().preprocess(nb, resources)
        with preprocessors.overwritecells.Gradebook(self.db_url) as self.gradebook:
            self._restore(nb)
        return nb, resources

    def _restore(self, nb):
        handed_out = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        points = {cell.name: cell.max_score for cell in handed_out.grade_cells}
        solutions = {cell.name for cell in handed_out.solution_cells}
        position = 0  # just after the last cell that is there
        for cell in handed_out.source_cells:
            found = [i for i, other in enumerate(nb.cells) if other.metadata.get("nbgrader", {}).get("grade_id") == cell.name]
            if found:
                position = found[0] + 1
            elif cell.name in points or cell.name not in solutions:  # a missing answer to a task stays missing
                self.log.warning("Cell %s was deleted and is put back", cell.name)
                nb.cells.insert(position, _cell(cell, points.get(cell.name), cell.name in solutions))
                position += 1


def _cell(source, points, solution):
    """Make a notebook cell of a cell in the gradebook."""
    nbgrader = {"grade_id": source.name, "grade": points is not None, "solution": solution, "locked": source.locked,
                "task": False, "schema_version": 3, "cell_type": source.cell_type, "checksum": source.checksum}
    if points is not None:
        nbgrader["points"] = points
    cell = {"cell_type": source.cell_type, "id": source.name, "metadata": {"nbgrader": nbgrader}, "source": source.source}
    return NotebookNode(cell | ({"outputs": [], "execution_count": None} if source.cell_type == "code" else {}))


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
    preprocessors.ClearOutput, preprocessors.DeduplicateIds, preprocessors.OverwriteKernelspec, RestoreCells,
    preprocessors.CheckCellMetadata]
c.Autograde.autograde_preprocessors = [
    LimitedExecute, preprocessors.IgnorePattern, ClearMetadataPreprocessor, preprocessors.LimitOutput,
    preprocessors.SaveAutoGrades, preprocessors.AssignLatePenalties, preprocessors.CheckCellMetadata]
