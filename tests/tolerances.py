"""How far two results may differ that were rounded differently.

The same sum, computed in batches of another shape, on another number of threads or by another
processor, is added up in another order and rounded differently. Each of n additions rounds by at
most eps / 2 of the partial sum; the errors have either sign, so their sum grows like sqrt(n) eps
times the size of the sum. A tolerance of SAFETY times that is many standard deviations wide, and
still thousands of times narrower than the mistakes that these tests look for.
"""

import math

import torch

SAFETY = 16


def rounding(terms: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> float:
    """Return the tolerance for a sum of `terms` numbers whose partial sums are about `scale`.

    A network's result is a chain of such sums: `terms` is then the sum over its layers of their
    inputs. `dtype` is the coarsest one that anything was rounded to.
    """
    return SAFETY * torch.finfo(dtype).eps * math.sqrt(terms) * scale


def assert_near(actual, expected, terms: int, scale: float | None = None, dtype=torch.float32):
    """Assert that numbers or tensors of one shape agree up to `rounding`.

    `scale` is by default the largest of the values. Where large numbers cancel it must be given.
    """
    actual, expected = (
        torch.as_tensor(each).detach().cpu().double() for each in (actual, expected)
    )
    assert actual.shape == expected.shape
    if scale is None:
        scale = max(actual.abs().max().item(), expected.abs().max().item())
    torch.testing.assert_close(actual, expected, rtol=0, atol=rounding(terms, scale, dtype))
