"""What takes long is computed once and kept: trained models, mixtures, what was measured of them.

A result is found again by the fingerprint of all that it depends on: tensors, plain values, and the
code that computes it. A changed comment, or a change in a function that was not used, computes
nothing anew. Up to three folders are looked through:

    LECTURE_SHARED_CACHE    read only: a lecturer fills it for a class (``make cache``)
    LECTURE_CACHE           read and written; without it ``.cache/`` in the repository
    data.user_cache()       written where the folder above may not be
"""

import dataclasses
import dis
import errno
import functools
import hashlib
import inspect
import os
import platform
import sys
import types
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from lecture_utils.data import user_cache

import torch
from torch import nn

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
    does not run. It trains no model but takes a trained one as an argument: after the stop button,
    what was computed from half a training would be kept. It returns tensors (on the CPU, detached),
    numbers, strings, or lists and dicts of them. Raises TypeError as `fingerprint` does, and for
    another result.
    """

    @functools.wraps(function)
    def look_up(*args, **kwargs):
        def compute():
            result = function(*args, **kwargs)
            _check_can_be_kept(result)
            return {"result": result}

        return cached(function.__name__, [function, args, kwargs], compute)["result"]

    return look_up


def _check_can_be_kept(result):
    """Only what `torch.load(weights_only=True)` gives back as it was; a subclass it would not."""
    if type(result) in (list, dict):
        for item in [*result, *result.values()] if type(result) is dict else result:
            _check_can_be_kept(item)
    elif type(result) is torch.Tensor:
        if result.requires_grad or result.device.type != "cpu":
            raise TypeError(
                "A tensor with a gradient, or on an accelerator, cannot be kept in the cache. "
                "Let the function return result.detach().cpu()."
            )
    elif type(result) not in (type(None), bool, int, float, str):
        raise TypeError(
            f"A {type(result).__name__} cannot be kept in the cache. "
            "Let the function return tensors, numbers, strings, or lists and dicts of them."
        )


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
    """Return the entry, or None if there is none that can be used; say so, if there should be."""
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
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)  # still there only if something went wrong


# ------------------------------------------------------------------------------- fingerprints


def fingerprint(depends_on: list) -> str:
    """Return a hash of tensors, plain values, models, functions and classes: 16 hex digits.

    Each part enters with its type and length, a tensor with dtype and shape, so that no two lists
    of parts look alike; the versions of torch and Python and the default dtype enter, too. A
    function of this package or of a notebook enters with its bytecode and all that it refers to,
    the values of its globals included; one of a library by its name and the library's version.
    Raises TypeError for what cannot be told apart from another of its kind.
    """
    digest = hashlib.sha256()
    surroundings = [torch.__version__, platform.python_version(), torch.get_default_dtype()]
    _feed(digest, [surroundings, depends_on], {})
    return digest.hexdigest()[:16]


def _feed(digest, part, seen):
    """Feed one part to the digest; `seen` numbers the code and objects that were fed already."""

    def mark(kind, text=""):
        digest.update(f"<{kind}:{len(text)}:{text}>".encode())

    if isinstance(part, torch.Tensor):
        part = part.detach().cpu().contiguous()
        mark("tensor", f"{part.dtype} {list(part.shape)}")
        digest.update(part.reshape(-1).view(torch.uint8).numpy())
    elif part is None or isinstance(part, (bool, int, float, str, bytes, slice, torch.dtype)):
        mark(type(part).__name__, repr(part))
    elif isinstance(part, (torch.device, Path)):
        mark(type(part).__name__, str(part))
    elif isinstance(part, (list, tuple, set, frozenset)):
        items = sorted(part, key=repr) if isinstance(part, (set, frozenset)) else part
        mark(type(part).__name__, str(len(items)))
        for item in items:
            _feed(digest, item, seen)
    elif isinstance(part, dict):
        mark("dict", str(len(part)))
        for key, value in part.items():
            _feed(digest, key, seen)
            _feed(digest, value, seen)
    elif isinstance(part, (types.FunctionType, type, types.ModuleType)):
        _feed_code(digest, part, seen)
    elif isinstance(part, types.MethodType):
        _feed(digest, [part.__func__, part.__self__], seen)
    elif isinstance(part, functools.partial):  # torchvision's networks keep some
        _feed(digest, ["partial", part.func, part.args, part.keywords], seen)
    elif _is_ours(type(part)) or isinstance(part, nn.Module):
        _feed_object(digest, part, seen)
    elif hasattr(part, "cache_info"):  # made by functools.cache
        _feed(digest, part.__wrapped__, seen)
    elif callable(part) and hasattr(part, "__name__"):  # a function that is not written in Python
        _feed_code(digest, part, seen)
        _feed(digest, getattr(part, "__self__", None), seen)  # of which object it is a method
    else:
        raise TypeError(
            f"A {type(part).__name__} cannot enter a cache's fingerprint: two that differ could "
            "look alike. Let the function take what it needs of it, as tensors or plain values."
        )


def _feed_object(digest, part, seen):
    """An object of this package or a torch module: its class, its attributes, its weights."""
    if _was_fed(digest, part, seen):
        return
    if not isinstance(part, nn.Module):
        own = {  # what a cached_property has computed follows from the rest
            name: value
            for name, value in vars(part).items()
            if not isinstance(getattr(type(part), name, None), functools.cached_property)
        }
        _feed(digest, [type(part), own], seen)
        return
    for module in part.modules():
        public = {name: value for name, value in vars(module).items() if name[0] != "_"}
        _feed(digest, [type(module), module.extra_repr(), public], seen)
    _feed(digest, [weight.requires_grad for weight in part.parameters()], seen)
    _feed(digest, dict([*part.named_parameters(), *part.named_buffers()]), seen)


def _feed_code(digest, part, seen):
    """A function, class or module; one of a library by name and version, ours with all it is."""
    name = f"{getattr(part, '__module__', '')}.{getattr(part, '__qualname__', part.__name__)}"
    digest.update(f"<code:{len(name)}:{name}>".encode())
    if isinstance(part, types.ModuleType) or not _is_ours(part):
        _feed(digest, _library_version(part), seen)
    elif _was_fed(digest, part, seen):
        return
    elif isinstance(part, type):
        _feed_class(digest, part, seen)
    else:
        _feed_function(digest, part, seen)


def _was_fed(digest, part, seen):
    """Whether this code or object was met before: then its number is fed, else it gets one."""
    if id(part) in seen:
        _feed(digest, ["again", seen[id(part)]], seen)
        return True
    seen[id(part)] = len(seen)
    return False


def _feed_class(digest, part, seen):
    """A class: its bases, and the methods that somebody wrote."""
    for base in part.__bases__:
        _feed(digest, base, seen)
    if dataclasses.is_dataclass(part):
        _feed(digest, [field.name for field in dataclasses.fields(part)], seen)
    for name, member in sorted(vars(part).items()):
        for inside in ("__func__", "fget", "func"):  # of class methods and properties
            member = getattr(member, inside, member)
        generated = name.startswith("__") and (name != "__init__" or dataclasses.is_dataclass(part))
        if isinstance(member, types.FunctionType) and _is_ours(member) and not generated:
            _feed_function(digest, member, seen)


def _feed_function(digest, function, seen):
    """A function: its bytecode, its defaults, and the globals and outer variables it names."""
    function = inspect.unwrap(function)
    named, attributes = _feed_bytecode(digest, function.__code__, function.__doc__, seen)
    _feed(digest, [function.__defaults__, function.__kwdefaults__], seen)
    for cell in function.__closure__ or ():
        if cell.cell_contents is not function:
            _feed(digest, cell.cell_contents, seen)
    for name in sorted(named & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, types.ModuleType) and _is_ours(value):
            for used in sorted(attributes & vars(value).keys()):
                _feed(digest, vars(value)[used], seen)
        else:
            _feed(digest, value, seen)


def _feed_bytecode(digest, code, docstring, seen):
    """The bytecode of a function and of those inside it; return the names of the globals that they
    read, and of attributes."""
    steps = list(dis.get_instructions(code))
    named = {step.argval for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    attributes = set(code.co_names)
    digest.update(f"<bytecode:{len(code.co_code)}>".encode() + code.co_code)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inside = _feed_bytecode(digest, constant, None, seen)
            named, attributes = named | inside[0], attributes | inside[1]
        elif constant is not Ellipsis and (docstring is None or constant != docstring):
            _feed(digest, constant, seen)
    return named, attributes


def _library_version(part):
    """The version that the library of a function, class or module states; None if it has none."""
    return getattr(sys.modules.get(_module_of(part).split(".")[0]), "__version__", None)


def _module_of(part):
    if isinstance(part, types.ModuleType):
        return part.__name__
    return getattr(part, "__module__", None) or ""


def _is_ours(part):
    """Is this function, class or module part of this package, or of a notebook or a script?"""
    name = _module_of(part)
    package = name.split(".")[0]
    if package in ("lecture_utils", "__main__"):
        return True
    if name not in sys.modules:  # made by exec, or in a module that is gone
        return isinstance(part, types.FunctionType | type)
    file = getattr(sys.modules[name], "__file__", None)
    return bool(file) and package not in sys.stdlib_module_names and "site-packages" not in file
