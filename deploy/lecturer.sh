#!/bin/sh
# Run by the lecturer, in an own home: make the course, and show nbgrader's tools for lecturers.
#     sh /opt/lecture-11/deploy/lecturer.sh
set -eu
repository=$(cd "$(dirname "$0")/.." && pwd)
PATH=$repository/.venv/bin:$PATH
cd
cp -r "$repository/notebooks/tutorial_7" tutorial_7
chmod -R u+w tutorial_7
chmod 700 tutorial_7
# Where students' code cannot be shut in, nothing is graded.
sed -i 's/c.Score.sandbox = "auto"/c.Score.sandbox = "required"/' tutorial_7/nbgrader_config.py
mkdir -p .jupyter/jupyter_server_config.d
cat > .jupyter/nbgrader_config.py << CONFIG
c = get_config()
c.CourseDirectory.root = "$HOME/tutorial_7"
CONFIG
cat > .jupyter/jupyter_server_config.d/nbgrader.json << CONFIG
{"ServerApp": {"jpserver_extensions": {"nbgrader.server_extensions.formgrader": true}}}
CONFIG
jupyter labextension enable --level=user \
    @jupyter/nbgrader:formgrader @jupyter/nbgrader:create-assignment
cd tutorial_7
nbgrader generate_assignment tutorial_7 --force
nbgrader release_assignment tutorial_7
