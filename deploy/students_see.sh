#!/bin/sh
# Hide nbgrader's tools for lecturers from everybody. lecturer.sh shows them to a lecturer again.
set -eu
PATH=$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH
tools="@jupyter/nbgrader:formgrader @jupyter/nbgrader:create-assignment @jupyter/nbgrader:course-list"
jupyter labextension disable --level=sys_prefix $tools
# JupyterLab also locks what is disabled first; a lecturer could not enable it again.
jupyter labextension unlock --level=sys_prefix $tools
jupyter server extension disable --sys-prefix \
    nbgrader.server_extensions.formgrader nbgrader.server_extensions.course_list
