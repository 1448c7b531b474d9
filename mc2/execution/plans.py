"""Tasks as JSON, for processes that get them through a file: no code is in it, and only classes of mc2 are made of it.

A value is itself where JSON has it; any other is a list of its kind and content:

    ["list", [...]]  ["tuple", [...]]  ["set", [...]]  ["dict", [[key, value], ...]]  ["bytes", hexadecimal digits]
    ["counter", [[key, value], ...]]  ["array", type, shape, hexadecimal digits]  ["time", class, ISO 8601]
    ["class", "module:name"]  ["method", object, name]
    ["object", "module:name", state]  ["named", "module:name", [...]]
"""
import collections
import datetime
import functools
import importlib
import types

import numpy as np

from mc2.errors import BadData, BadUsage

PACKAGES = ["mc2"]                      # whose classes and functions a plan may name
TIMES = {kind.__name__: kind for kind in (datetime.datetime, datetime.date, datetime.time)}


def portable(value):
    """A task, or anything that it holds, as values that JSON has."""
    if value is None or isinstance(value, (bool, int, float, str)) and type(value).__module__ == "builtins":
        return value
    if isinstance(value, (type, types.FunctionType)):
        return ["class", _name_of(value)]
    if isinstance(value, types.MethodType):
        return ["method", portable(value.__self__), value.__name__]
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return ["array", np.lib.format.dtype_to_descr(value.dtype), list(value.shape), value.tobytes().hex()]
    if isinstance(value, np.generic):
        return portable(value.item())
    kind = type(value)
    if kind in (list, tuple, set):
        return [kind.__name__, list(map(portable, value))]
    if kind in (dict, collections.Counter):
        return [kind.__name__.lower(), [[portable(key), portable(each)] for key, each in value.items()]]
    if kind is bytes:
        return ["bytes", value.hex()]
    if kind in TIMES.values():
        return ["time", kind.__name__, value.isoformat()]
    if isinstance(value, tuple):
        return ["named", _name_of(kind), list(map(portable, value))]
    state = value.__getstate__() if hasattr(value, "__getstate__") else value.__dict__
    return ["object", _name_of(kind), portable(dict(value.__dict__) if state is None else state)]


def restored(found):
    """What `portable` made this of. Raises BadData where it is something else."""
    try:
        return _restored(found)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ImportError, RecursionError) as error:
        raise BadData(f"no task of mc2 ({type(error).__name__}: {error})") from None


def _restored(found):
    if not isinstance(found, list):
        if found is None or isinstance(found, (bool, int, float, str)):
            return found
        raise ValueError("an object of JSON")
    kind, *content = found
    return READERS[kind](*content)


def _each(content):
    return map(_restored, content)


def _pairs(content):
    return {_restored(key): _restored(value) for key, value in content}


def _array(descr, shape, data):
    descr = [tuple(field) for field in descr] if isinstance(descr, list) else descr
    return np.frombuffer(bytes.fromhex(data), np.dtype(descr)).reshape(shape).copy()


def _method(owner, name):
    owner = _restored(owner)
    if _package(type(owner).__module__) not in PACKAGES:
        raise ValueError(f"a method of {type(owner).__name__}")
    return getattr(owner, name)


def _tuple(name, content):
    if not issubclass(kind := _named(name), tuple):
        raise ValueError(f"{name}: no tuple")
    return kind(*_each(content))


def _object(name, state):
    made = object.__new__(_named(name))
    state = _restored(state)
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)
    else:
        made.__dict__.update(state)
    return made


READERS = {
    "list": lambda content: list(_each(content)), "tuple": lambda content: tuple(_each(content)),
    "set": lambda content: set(_each(content)), "dict": _pairs,
    "counter": lambda content: collections.Counter(_pairs(content)), "bytes": bytes.fromhex, "array": _array,
    "time": lambda kind, text: TIMES[kind].fromisoformat(text), "class": lambda name: _named(name), "method": _method,
    "object": _object, "named": _tuple}


# ---------------------------------------------------------------- names of classes

def _package(module):
    return module.partition(".")[0]


def _name_of(value):
    if _package(value.__module__) not in PACKAGES or "<" in value.__qualname__:
        raise BadUsage(f"--executor slurm: {value.__module__}.{value.__qualname__} cannot go to the tasks of SLURM: they "
                       f"are sent plain values, and what mc2 defines. Keep text or numbers in its place.")
    return f"{value.__module__}:{value.__qualname__}"


def _named(name):
    """The class or function of mc2 of that name."""
    module, _, path = name.partition(":")
    if _package(module) not in PACKAGES:
        raise ValueError(f"{name}: not of mc2")
    found = functools.reduce(getattr, path.split("."), importlib.import_module(module))
    if not isinstance(found, (type, types.FunctionType)) or found.__module__ != module:
        raise ValueError(f"{name}: no class of mc2")
    return found
