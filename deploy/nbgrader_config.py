"""nbgrader's configuration for everybody on the server: copied to the environment's etc/jupyter.

The lecturer's own, in the course's folder, is read after it.
"""

import os

c = get_config()  # noqa: F821 (defined by whoever reads this file)

c.CourseDirectory.course_id = "lecture_11"
c.Exchange.root = os.path.join(os.environ.get("CLASS_FOLDER", "/srv/lecture-11"), "exchange")
# A notebook of Tutorial 7 with its figures is below 2 MB.
c.CourseDirectory.max_file_size = 20_000
# The button Validate runs a notebook, and gives up a cell after 30 s by default: a training takes
# longer where many share a machine.
c.Execute.timeout = 900
