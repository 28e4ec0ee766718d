"""nbgrader's configuration of this course root: how submissions are repaired, scored and made safe
to show.

nbgrader reads it when its commands run in this folder. README.md beside this file has the commands.
"""

import sys
import warnings
from pathlib import Path

c = get_config()  # noqa: F821 (defined by whoever reads this file)

# nbgrader only logs an error in this file, and goes on with its defaults, which run students'
# code. Stop instead.
try:
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from grading.exchange import CollectByOwner, ReleaseToOwners
    from grading.harmless import Harmless
    from grading.late import Late, Settle
    from grading.repair import Repair
    from grading.score import Score
    from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
    from nbgrader import preprocessors
except ImportError as error:
    raise SystemExit(
        f"nbgrader_config.py: {error}. Nothing was graded. Is the package installed: "
        "pip install -e '.[tutorial]' in the repository's root, and is this the whole folder?"
    ) from error

# SQLAlchemy says this of nbgrader's own code whenever a student is new. It means nothing here.
warnings.filterwarnings("ignore", message="Object of type .* not in session")

c.CourseDirectory.course_id = "lecture_11"
c.ClearSolutions.text_stub = "*Your answer here.*"

# What is written into autograded/ has been repaired and made harmless before; no cell is executed
# there.
c.Autograde.sanitize_preprocessors = [Repair, Harmless, preprocessors.CheckCellMetadata]
c.Autograde.autograde_preprocessors = [
    Score,
    preprocessors.SaveAutoGrades,
    preprocessors.AssignLatePenalties,
    preprocessors.CheckCellMetadata,
]

# A tenth of the points for each day begun, after the due date that README.md sets. It is reckoned
# again when feedback and marks are made, from all points that there are then.
c.AssignLatePenalties.plugin_class = Late
c.Late.share_a_day = 0.1
c.GenerateFeedback.preprocessors = [
    Settle,
    preprocessors.GetGrades,
    CSSHTMLHeaderPreprocessor,
]

# `nbgrader validate` runs the source, and gives up a cell after 30 s by default: a training takes
# longer on a slow or busy machine.
c.Execute.timeout = 900

# Students' code runs in a sandbox where one can be had ("auto"), or not at all ("required").
# `python grading/sandbox.py` says whether there is one. See README.md.
c.Score.sandbox = "auto"

# Where students hand in through nbgrader's exchange: whose folder it is says who handed it in.
c.ExchangeFactory.collect = CollectByOwner
c.ExchangeFactory.release_feedback = ReleaseToOwners

# SQLite waits for another process that writes, for as many seconds.
gradebook = Path(__file__).resolve().parent / "gradebook.db"
c.CourseDirectory.db_url = f"sqlite:///{gradebook}?timeout=60"
