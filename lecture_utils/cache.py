"""What takes long is computed once and kept: trained models, mixtures, what was measured of them.

A result is found again by the fingerprint of all that it depends on: tensors, plain values, and the
code that computes it. A changed comment, or a change in a function that nothing refers to, computes
nothing anew. Up to three folders are looked through:

    LECTURE_SHARED_CACHE    read only: a lecturer fills it for a class (``make cache``)
    LECTURE_CACHE           read and written; without it ``.cache/`` in the repository
    data.user_cache()       written where the folder above may not be
"""

import errno
import functools
import inspect
import os
import pickle
import re
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from lecture_utils.data import user_cache
from lecture_utils.fingerprints import fingerprint

import torch

CHECKOUT = Path(__file__).resolve().parents[1]
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


def cached(
    name: str,
    depends_on: list,
    compute: Callable[[], dict],
    keep: Callable[[dict], bool] = lambda entry: True,
) -> dict:
    """Return `compute()`, or what it returned before for the same `depends_on`, torch and Python.

    `depends_on` holds tensors, plain values, models, and the functions and classes that compute the
    result (see `fingerprint`). `compute` returns a dict of tensors, numbers, strings, lists and
    dicts, which is kept if `keep(result)` is true. A damaged, deleted or unreadable entry costs
    only the time to compute it again. Raises TypeError as `fingerprint` does.
    """
    file = f"{name}-{fingerprint(depends_on)}.pt"
    for folder in _folders():
        entry = _read(folder / file, keep)
        if entry is not None:
            return entry
    entry = compute()
    if keep(entry):
        _write(file, entry)
    return entry


def remembered(function: Callable) -> Callable:
    """Decorate a function whose results are kept, so that the same call is computed only once.

    Arguments, code and globals decide what the same call is (see `fingerprint`). The function draws
    from generators of its own alone; it prints nothing and changes nothing, for the second time it
    does not run. It reads no file that may change: what was read is an argument. It trains no model
    but takes a trained one as an argument: after the stop button, what was computed from half a
    training would be kept. It returns tensors (on the CPU, detached), numbers, strings, or lists
    and dicts of them. Raises TypeError as `fingerprint` does, and for another result.
    """
    signature = inspect.signature(function)
    name = re.sub(r"\W", "", getattr(function, "__name__", "")) or "result"  # "<lambda>"

    @functools.wraps(function)
    def look_up(*args, **kwargs):
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()

        def compute():
            return {"result": _to_be_kept(function(*args, **kwargs))}

        return cached(name, [function, call.arguments], compute)["result"]

    return look_up


def _to_be_kept(result):
    """The result, if `torch.load(weights_only=True)` gives it back as it is: no subclasses. A part
    of a tensor is copied, for it would bring all of its tensor along."""
    if type(result) is list:
        return [_to_be_kept(item) for item in result]
    if type(result) is dict:
        return {_to_be_kept(key): _to_be_kept(value) for key, value in result.items()}
    if type(result) is torch.Tensor:
        if result.requires_grad or result.device.type != "cpu":
            raise TypeError(
                "A tensor with a gradient, or on an accelerator, cannot be kept in the cache. "
                "Let the function return result.detach().cpu()."
            )
        return result.contiguous().clone()
    if type(result) not in (type(None), bool, int, float, str):
        raise TypeError(
            f"A {type(result).__name__} cannot be kept in the cache. "
            "Let the function return tensors, numbers, strings, or lists and dicts of them."
        )
    return result


def cache_dir() -> Path:
    """Return the folder of what is kept: ``LECTURE_CACHE``, else the checkout's ``.cache/``."""
    if chosen := os.environ.get("LECTURE_CACHE"):
        return Path(chosen)
    is_checkout = (CHECKOUT / "pyproject.toml").exists()  # else: an installed package
    return CHECKOUT / ".cache" if is_checkout else user_cache() / "models"


def _folders() -> Iterator[Path]:
    """The folders to look through, the shared one first."""
    if shared := os.environ.get("LECTURE_SHARED_CACHE"):
        yield Path(shared)
    yield cache_dir()
    yield user_cache() / "models"


def _read(path, keep):
    """Return the entry, or None; warn where a file is there that cannot be used."""
    try:
        entry = torch.load(path, map_location="cpu", weights_only=True)
        return entry if keep(entry) else None  # keep raises, if the file holds something else
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        warnings.warn(
            f"The cache entry {path} may not be read by this user; it is computed again. "
            "Its owner can share it: chmod a+r."
        )
    except Exception:  # a damaged file can raise nearly anything; computing again overwrites it
        warnings.warn(f"The cache entry {path} is damaged and is made again.")
    return None


def _write(file, entry):
    """Keep an entry; a full or read-only disk costs a warning, not the result."""
    for folder in (cache_dir(), user_cache() / "models"):
        try:
            return _save(folder / file, entry)
        except pickle.UnpicklingError:
            return warnings.warn(
                "The result was not cached, and will be computed again next time: it holds more "
                "than tensors, numbers, strings, lists and dicts. Convert the rest, for example "
                "with float(...) or list(...)."
            )
        except (OSError, RuntimeError) as error:
            failure = f"{folder} ({error})"
            if getattr(error, "errno", None) not in NOT_WRITABLE:
                break
    warnings.warn(
        f"The result was not cached in {failure}. It is usable, but will be computed again next "
        "time. Free some disk space, or set LECTURE_CACHE to a writable folder."
    )


def _save(path, entry):
    """Write the file in one atomic step, readable for whom the umask allows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(scratch, "xb") as file:
            torch.save(entry, file)
        torch.load(scratch, weights_only=True)  # raises for what would not come back
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)  # still there only if something went wrong
