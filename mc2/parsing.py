"""Parsers of data from outside. Whatever is wrong with the data is a ValueError of one line: also nesting that is too
deep for Python, numbers of more digits than it takes, and what the parsers themselves stumble over.
"""
import ast
import contextlib
import json
import os
import warnings

DEEPEST = 100                   # levels that lists and objects may be nested
LARGE = 1 << 30                 # bytes of an array from which memory may really be too small for it


@contextlib.contextmanager
def _refusing():
    try:
        yield
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1:,}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        reason = "a number of too many digits" if "integer string conversion" in str(error) else _one_line(error)
        raise ValueError(reason) from None


def _one_line(error):
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__


def json_value(data, **options):
    """The value of a JSON text (str or bytes). options: of json.loads"""
    with _refusing():
        return _shallow(json.loads(data, **options))


def plain_json(data):
    """The value of a JSON text (bytes) that mc2 wrote itself."""
    import orjson
    with _refusing():
        try:
            return _shallow(orjson.loads(data))
        except orjson.JSONDecodeError:              # it refuses names of files that are not UTF-8
            if b"\\ud" not in data:
                raise
            return _shallow(json.loads(data))


def toml_table(text):
    """The dict of a TOML text."""
    try:
        import tomllib
    except ImportError:                             # Python 3.10
        import tomli as tomllib
    with _refusing():
        return _shallow(tomllib.loads(text))


def _shallow(value):
    if nesting(value) > DEEPEST:
        raise ValueError("nested too deeply")
    return value


def nesting(value):
    """Levels of lists and objects of a value, as JSON has them."""
    levels, values = 0, [value]
    while outer := [each for each in values if isinstance(each, (list, dict))]:
        levels += 1
        values = [inner for each in outer for inner in (each.values() if isinstance(each, dict) else each)]
    return levels


def literal(text):
    """The value of a Python literal: a list of texts, say."""
    try:
        with _refusing():
            return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError) as error:         # TypeError: {[]: 1}; MemoryError: nested too deeply
        raise ValueError(_one_line(error)) from None


def array(file, mapped=False):
    """The array in a file of np.save, without objects. file: path or binary stream; mapped: a path, of a file that is
    mapped into memory, to be read only. Raises OSError where it cannot be read."""
    import numpy as np

    from mc2 import mapped_files
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")             # an overflow in a size that is not true
        try:
            found = np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
        except OSError:
            raise
        except MemoryError:
            if _size(file) >= LARGE:
                raise
            raise ValueError("its header names an impossible size, or is damaged") from None
        except Exception as error:                  # a damaged header raises anything: SyntaxError, TokenError ...
            raise ValueError(_one_line(error)) from None
    if not isinstance(found, np.ndarray):
        raise ValueError("an archive of several arrays")
    return mapped_files.array(file, found) if mapped else found


def _size(file):
    if isinstance(file, (str, os.PathLike)):
        return os.path.getsize(file)
    return file.seek(0, os.SEEK_END)
