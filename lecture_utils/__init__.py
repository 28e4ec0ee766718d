"""Helper package of the Lecture 11 notebook series: data, formulas, models, training, figures.

Import the submodule you need, for example ``from lecture_utils import objectives``.
This file stays empty of heavy imports, so that importing the package costs nothing by itself.
"""

import os

# Must be set before torch loads its OpenMP library. A waiting thread then goes to sleep at once (with the GNU library:
# after a short spin, which is enough on an idle machine) instead of spinning on: a spinning thread takes the core that
# the browser needs, and one training step becomes many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Must be set before numpy loads its linear algebra, whose threads cannot be told to sleep. With one thread, scikit-learn
# fits a Gaussian mixture to the codes of notebook 07 in half the time: matrices of 20 columns are too small for two.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from lecture_utils import cell_order  # noqa: E402

cell_order.register()
