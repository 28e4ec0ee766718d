"""Helper package of the Lecture 11 notebook series: data, formulas, models, training, figures.

Import the submodule you need, for example ``from lecture_utils import objectives``.
This file stays empty of heavy imports, so that importing the package costs nothing by itself.
"""

import os
import sys

# A waiting OpenMP thread then goes to sleep at once (with the GNU library: after a short spin,
# which is enough on an idle machine) instead of spinning on: a spinning thread takes the core that
# the browser needs, and one training step becomes many times slower. The library reads this once,
# when torch loads it; where torch was imported first, training is as fast, but less friendly to
# others.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# The threads of numpy's linear algebra cannot be told to sleep. With one thread, scikit-learn fits
# a Gaussian mixture to the codes of notebook 07 in half the time: 20 columns are too few for two.
if "OPENBLAS_NUM_THREADS" not in os.environ:
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # for what is loaded later
    if "numpy" in sys.modules:  # for what is loaded already
        from threadpoolctl import ThreadpoolController

        # Only OpenBLAS: where numpy and torch share another library, torch shall keep its threads.
        ThreadpoolController().select(internal_api="openblas").limit(limits=1)

from lecture_utils import name_error_hint  # noqa: E402

name_error_hint.register()
