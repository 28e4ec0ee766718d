"""What a result depends on, as one short text: `fingerprint`.

By it `cache` finds a result again. Whatever could change the result has to change the fingerprint:
a tensor's numbers, a model's weights, and the code, down to the functions that a function calls. A
comment changes nothing, nor does a function that nothing refers to; of a class that is used all
methods count, and of a function the names of its variables, too.
"""

import contextlib
import dataclasses
import dis
import functools
import hashlib
import importlib.util
import inspect
import platform
import sys
import types
from pathlib import Path

import numpy as np
import torch
from torch import nn

OURS = ("lecture_utils", "__main__")
PLAIN = (bool, int, float, complex, str, bytes, slice, range, type(None), types.EllipsisType)
# What a module holds for torch: the state of the class itself, and the functions hooked into it.
OF_TORCH = vars(nn.Module()).keys()
# Torch's contexts that decorate functions, and what of them is a setting: the rest changes in use.
CONTEXTS = (torch.no_grad, torch.enable_grad, torch.inference_mode, torch.autocast)
SETTINGS = ("mode", "device", "fast_dtype", "_enabled")
# Methods that a dataclass writes for itself.
GENERATED = ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__")


def fingerprint(depends_on: list) -> str:
    """Return a hash of tensors, plain values, models, functions and classes: 16 hex digits.

    Each part enters with its type and length, a tensor with dtype and shape, so that no two lists
    of parts look alike; the versions of torch and Python and the default dtype enter, too. A
    function or class of this package or of a notebook enters with its code and all that it refers
    to, the values of its globals included; one of a library by its name and the library's version,
    a library's decorator also by what it was given. Tensors that share memory are told from equal
    ones. What is found by a name made at run time, as with getattr, is not seen, nor is a file.
    Raises TypeError for what cannot be told apart from another of its kind, and names the variable.
    """
    digest = hashlib.sha256()
    surroundings = [torch.__version__, platform.python_version(), torch.get_default_dtype()]
    _feed(digest, [surroundings, depends_on], {})
    return digest.hexdigest()[:16]


def _feed(digest, part, seen):
    """Feed one part to the digest; `seen` numbers the code and objects that were fed already."""
    if isinstance(part, (types.FunctionType, type)):
        _feed_code(digest, part, seen)
    elif isinstance(part, torch.Tensor):
        memory = "memory", part.untyped_storage().data_ptr()
        _feed(digest, seen.setdefault(memory, len(seen)), seen)  # who shares it changes together
        part = part.detach().cpu().contiguous()
        _mark(digest, "tensor", f"{part.dtype} {list(part.shape)}")
        digest.update(part.reshape(-1).view(torch.uint8).numpy())
    elif isinstance(part, np.generic | np.ndarray) and not part.dtype.hasobject:
        _mark(digest, type(part).__name__, f"{part.dtype} {list(part.shape)}")
        digest.update(part.tobytes())
    elif isinstance(part, nn.Module):
        _feed_network(digest, part, seen)
    elif _is_ours(type(part)):
        _feed_object(digest, part, seen)
    elif not _feed_plain(digest, part, seen):
        _feed_callable(digest, part, seen)


def _mark(digest, kind, text=""):
    digest.update(f"<{kind}:{len(text)}:{text}>".encode())


def _feed_plain(digest, part, seen):
    """A plain value, or a collection of parts; return whether it is one."""
    kind = type(part).__name__
    if isinstance(part, PLAIN):
        _mark(digest, kind, repr(part))
    elif isinstance(part, (torch.dtype, torch.device, Path)):
        _mark(digest, kind, str(part))
    elif isinstance(part, (list, tuple, set, frozenset)):
        items = sorted(part, key=repr) if isinstance(part, (set, frozenset)) else part
        _mark(digest, kind, str(len(items)))
        for item in items:
            _feed(digest, item, seen)
    elif isinstance(part, dict):
        _mark(digest, kind, str(len(part)))
        _feed(digest, getattr(part, "default_factory", None), seen)  # of a defaultdict
        for key, value in part.items():
            _feed(digest, key, seen)
            with _naming(f"what stands under {key!r}"):
                _feed(digest, value, seen)
    else:
        return False
    return True


def _feed_callable(digest, part, seen):
    """A library's module, a method, what functools made, a function not written in Python."""
    if isinstance(part, types.ModuleType) and not _is_ours(part):
        _feed_code(digest, part, seen)
    elif isinstance(part, types.MethodType):
        _feed(digest, [part.__func__, part.__self__], seen)
    elif isinstance(part, functools.partial):  # torchvision's networks keep some
        _feed(digest, ["partial", part.func, part.args, part.keywords], seen)
    elif hasattr(part, "cache_info"):  # made by functools.cache
        _feed(digest, part.__wrapped__, seen)
    elif callable(part) and hasattr(part, "__name__") and _is_built_in(part):
        _feed_code(digest, part, seen)
        _feed(digest, getattr(part, "__self__", None), seen)  # of which object it is a method
    else:
        raise TypeError(
            f"A {type(part).__name__} cannot enter a cache's fingerprint: two that differ could "
            "look alike. Let the function take what it needs of it, as tensors or plain values."
        )


def _feed_object(digest, part, seen):
    """An object of a class of ours: its class, its attributes, its items if it has some."""
    if _was_fed(digest, part, seen):
        return
    _feed(digest, type(part), seen)
    state = object.__getstate__(part)  # attributes, those in slots among them
    if isinstance(state, dict):  # what a cached_property has computed follows from the rest
        state = _without_computed(part, state)
    _feed(digest, state, seen)
    _feed_plain(digest, part, seen)  # a subclass of tuple, dict, int, …


def _feed_network(digest, network, seen):
    """A torch module: of each of its modules the class, the attributes and the hooks; its weights,
    and which of them are the same one."""
    if _was_fed(digest, network, seen):
        return
    for name, module in network.named_modules(remove_duplicate=False):
        of_module = vars(module)
        own = {key: value for key, value in of_module.items() if key not in OF_TORCH}
        if not _is_ours(type(module)):  # what is private in torch's follows from the rest
            own = {key: value for key, value in own.items() if key[0] != "_"}
        hooks = [list(of_module[key].values()) for key in OF_TORCH if key.endswith("_hooks")]
        _feed(digest, [name, type(module), module.extra_repr(), module.training, hooks], seen)
        _feed(digest, _without_computed(module, own), seen)
    weights = dict(network.named_parameters(remove_duplicate=False))
    _feed(digest, [weight.requires_grad for weight in weights.values()], seen)
    _feed(digest, weights | dict(network.named_buffers(remove_duplicate=False)), seen)


def _without_computed(part, attributes):
    return {
        name: value
        for name, value in attributes.items()
        if not isinstance(getattr(type(part), name, None), functools.cached_property)
    }


def _feed_code(digest, part, seen):
    """A function, class or module; one of a library by name and version, ours with all it is."""
    name = getattr(part, "__qualname__", part.__name__)
    _mark(digest, "code", f"{getattr(part, '__module__', '')}.{name}")
    inside = inspect.unwrap(part) if isinstance(part, types.FunctionType) else part
    if not _is_ours(part):
        # Torch wraps some of its own functions anew while they are used: only the inner one counts.
        decorates = _is_ours(inside)
        _feed(digest, _module_and_version(part if decorates else inside), seen)
        if decorates:
            _feed(digest, part.__wrapped__, seen)
            _feed_settings(digest, part, seen)
    elif _module_of(part) == "lecture_utils.cache" and hasattr(part, "__wrapped__"):
        # Made by `cache.remembered`: how results are kept does not change them.
        _feed(digest, part.__wrapped__, seen)
    elif _was_fed(digest, part, seen):
        return
    elif isinstance(part, type):
        _feed_class(digest, part, seen)
    else:
        _feed_function(digest, part, seen)


def _feed_settings(digest, wrapper, seen):
    """What a library's decorator was given: torch.no_grad() and torch.enable_grad() wrap alike."""
    for name, cell in zip(wrapper.__code__.co_freevars, wrapper.__closure__ or ()):
        value = cell.cell_contents
        if isinstance(value, types.MethodType):  # one of the context's own
            value = value.__self__
        if isinstance(value, CONTEXTS):
            _feed(digest, [type(value), [vars(value).get(key) for key in SETTINGS]], seen)
        elif value is not wrapper.__wrapped__:
            with _naming(f"{name} in the decorator of {wrapper.__qualname__}"):
                _feed(digest, value, seen)


def _was_fed(digest, part, seen):
    """Whether this code or object was met before: then its number is fed, else it gets one."""
    if id(part) in seen:
        _feed(digest, ["again", seen[id(part)]], seen)
        return True
    seen[id(part)] = len(seen)
    return False


def _feed_class(digest, part, seen):
    """A class: its bases, its attributes, and the methods that somebody wrote."""
    _feed(digest, list(part.__bases__), seen)
    for field in dataclasses.fields(part) if dataclasses.is_dataclass(part) else ():
        makes_one = field.default_factory is not dataclasses.MISSING
        _feed(digest, [field.name, field.default_factory if makes_one else None], seen)
    for name, member in sorted(vars(part).items()):
        if isinstance(member, (staticmethod, classmethod)):
            member = member.__func__
        elif isinstance(member, property):
            member = [member.fget, member.fset, member.fdel]
        elif isinstance(member, functools.cached_property):
            member = member.func
        if not _is_generated(part, name, member):
            with _naming(f"the attribute {name} of {part.__qualname__}"):
                _feed(digest, [name, member], seen)


def _is_generated(owner, name, member):
    """Whether nobody wrote this member of a class: Python, or `dataclass`, put it there."""
    if not isinstance(member, types.FunctionType):  # a slot is found by a descriptor
        of_python = inspect.isdatadescriptor(member) and not _is_ours(type(member))
        return name.startswith(("__", "_abc_")) or of_python
    if name.startswith("__annotat"):  # from Python 3.14 on a function
        return True
    code = getattr(inspect.unwrap(member), "__code__", member.__code__)
    made_of_text = code.co_filename == "<string>"
    return dataclasses.is_dataclass(owner) and name in GENERATED and made_of_text


def _feed_function(digest, function, seen):
    """A function: its code and defaults, and the globals, outer variables and modules it names."""
    codes = [*_with_inner(function.__code__)]
    for code in codes:
        _feed_bytecode(digest, code, seen)
    own = {name: value for name, value in vars(function).items() if name != "__wrapped__"}
    _feed(digest, [function.__defaults__, function.__kwdefaults__, own], seen)
    steps = [step for code in codes for step in dis.get_instructions(code)]
    attributes = {name for code in codes for name in code.co_names}
    read = {step.argval for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    imported = {step.argval for step in steps if step.opname == "IMPORT_NAME"}
    named = {name: function.__globals__[name] for name in read & function.__globals__.keys()}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        with contextlib.suppress(ValueError):  # not set yet, by the function outside
            named[name] = cell.cell_contents
    for name in imported:
        if _is_own_module(name):
            named[f"import {name}"] = importlib.import_module(name)
    for name, value in sorted(named.items(), key=lambda item: item[0]):
        with _naming(f"{name} in {function.__qualname__}"):
            _feed_named(digest, value, attributes, seen)


def _with_inner(code):
    """The code of a function, and of those inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _with_inner(constant)


def _feed_bytecode(digest, code, seen):
    """What a code object does: its steps, the names and constants they refer to by number. No step
    refers to a docstring."""
    arguments = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    names = [code.co_varnames, code.co_names, code.co_freevars, code.co_cellvars]
    _feed(digest, [code.co_code, code.co_exceptiontable, arguments, names], seen)
    refer = ("LOAD_CONST", "KW_NAMES", "RETURN_CONST")
    for number in sorted({s.arg for s in dis.get_instructions(code) if s.opname in refer}):
        constant = code.co_consts[number]
        if not isinstance(constant, types.CodeType):
            _feed(digest, [number, constant], seen)


def _feed_named(digest, value, attributes, seen, via=()):
    """What a function names; of a module of ours, what stands in it under one of `attributes`."""
    if not (isinstance(value, types.ModuleType) and _is_ours(value)):
        _feed(digest, value, seen)
    elif value not in via:
        for name in sorted(attributes & vars(value).keys()):
            _feed_named(digest, vars(value)[name], attributes, seen, (*via, value))


@contextlib.contextmanager
def _naming(what):
    """Add to an error which variable it is about."""
    try:
        yield
    except TypeError as error:
        error.add_note(f"It is {what}.")
        raise


def _module_and_version(part):
    """The module of a library's function or class, and the version that the library states."""
    module = _module_of(part)
    return [module, getattr(sys.modules.get(module.split(".")[0]), "__version__", None)]


def _module_of(part):
    """The name of the module in which a function, class or module was written."""
    if isinstance(part, types.ModuleType):
        return part.__name__
    if isinstance(part, types.FunctionType):  # a decorated one has the __module__ of what is in it
        return part.__globals__.get("__name__") or ""
    return getattr(part, "__module__", None) or ""


def _is_built_in(part):
    """Whether this is a function that a library has under this name, or a method of an object; what
    np.vectorize or np.frompyfunc made is neither, and may hold a function of ours."""
    if isinstance(part, np.ufunc):  # scipy's do not tell their module
        return not part.types[0].startswith("O")
    there = getattr(sys.modules.get(_module_of(part)), part.__name__, None)
    return there is part or not hasattr(part, "__dict__")


def _is_ours(part):
    """Is this function, class or module part of this package, or of a notebook or a script?"""
    name = _module_of(part)
    if name not in sys.modules and name.split(".")[0] not in OURS:
        # Made by exec, or in a module that is gone.
        return isinstance(part, types.FunctionType | type)
    return _is_own_file(name, getattr(sys.modules.get(name), "__file__", None))


def _is_own_module(name):
    """Is the module of this name ours? It is not imported for that."""
    try:
        spec = importlib.util.find_spec(name.split(".")[0])
    except (ImportError, ValueError):
        return False
    return spec is not None and _is_own_file(name, spec.origin)


def _is_own_file(module, file):
    package = module.split(".")[0]
    if package in OURS or package in sys.stdlib_module_names or not file:
        return package in OURS
    return "site-packages" not in file and "dist-packages" not in file
