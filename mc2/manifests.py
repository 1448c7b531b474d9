"""How an output was made, kept beside it: `FILE.manifest.json`, or `manifest.json` within a directory.

A manifest has `mc2` (version), `kind`, `command`, `options`, `inputs` (name, bytes, mtime_ns), `counts`
(in, out, and what was dropped for which reason), `seconds`, and what the kind adds, such as the
fingerprint of the metadata.
"""
import hashlib
import os
import shlex
import stat
import sys

import orjson

from mc2 import __version__, files
from mc2.errors import BadData, BadUsage


def describe_run(kind, inputs, options, counts=None, seconds=None, paths=None, **more):
    """The manifest of an output of this kind, made by the command that is running.

    paths: where other artefacts were, for `mc2 inspect`.
    """
    return {"mc2": __version__, "kind": kind, "command": files.printable(shlex.join(["mc2", *sys.argv[1:]])),
            "options": options, "inputs": [describe_file(path) for path in inputs], "counts": dict(counts or {}),
            "seconds": None if seconds is None else round(seconds, 3),
            "paths": {what: files.name_of(path) for what, path in (paths or {}).items()}, **more}


def describe_file(path):
    """Name, size and modification time (of a URL: version) of an input; the name alone for a pipe."""
    if files.is_remote(path):
        from mc2 import remote
        return remote.describe(path)
    name = files.name_of(path)
    try:
        status = os.stat(path) if path != "-" else None
    except OSError:
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        return {"name": name}
    return {"name": name, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def beside(path):
    """The path or URL of the manifest of this output."""
    return os.path.join(path, "manifest.json") if os.path.isdir(path) else files.manifest_name(files.identity(path))


def write(path, manifest):
    """Write the manifest of the file `path`, or of the directory `path`."""
    files.write_bytes(beside(path), orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_for_file(path, manifest):
    """Write the manifest of a file, with the file's size, by which a later replacement is noticed."""
    write(path, {**manifest, "output": {"bytes": files.size(path)}})


def read(path, strict=False):
    """The manifest of an output, or None where mc2 wrote none, it is damaged, or it is of an earlier file of that name.

    strict: raise BadData where it is damaged.
    """
    try:
        with files.open_raw(beside(path)) as stream:
            data = stream.read()
        manifest = orjson.loads(data)
        if not isinstance(manifest, dict) or "mc2" not in manifest:
            return None
        if "output" in manifest and manifest["output"].get("bytes") != files.size(path):
            return None
    except OSError:
        return None
    except (ValueError, AttributeError):
        if strict:
            raise BadData(f"{beside(path)}: this manifest is damaged, so it is not known what {files.name_of(path)} was "
                          f"made with. Make the file again, or delete the manifest.") from None
        return None
    return manifest


def is_of(path, description):
    """The manifest of an output that was made as described, else None. description: all that the output depends on"""
    manifest = read(path)
    return manifest if manifest is not None and manifest.get("description") == description else None


def read_kind(path, kind, made_by, or_else=""):
    """The manifest of a directory that must be of this kind. Raises BadUsage or BadData, naming `made_by`.

    or_else: the end of the sentence that names it, with another way to make one.
    """
    if not os.path.isdir(path):
        raise BadUsage(f"{path}: {'is no' if os.path.exists(path) else 'no such'} directory. "
                       f"Make it with 'mc2 {made_by}'{or_else}.")
    manifest = read(path)
    if manifest is None:
        raise BadData(f"{path}: no readable manifest.json, so this is no {kind} directory. "
                      f"Make one with 'mc2 {made_by}'{or_else}.")
    if manifest.get("kind") != kind:
        raise BadData(f"{path}: this is a {manifest.get('kind')} directory, not {kind}. "
                      f"Make one with 'mc2 {made_by}'{or_else}.")
    return manifest


def refuse_foreign_directory(path, kind):
    """Raise BadUsage when the output directory `path` holds something that is not an artefact of this kind."""
    if files.is_remote(path):
        raise BadUsage(f"{path}: {kind} output is made on local disks only. Make it there, then copy the directory.")
    if os.path.exists(path) and not os.path.isdir(path):
        raise BadUsage(f"{path}: is a file, and {kind} output is a directory. Name another output.")
    if os.path.isdir(path) and os.listdir(path) and (read(path) or {}).get("kind") != kind:
        raise BadUsage(f"{path}: this directory is not empty and holds no {kind}. Name another output.")


def fingerprint(content):
    """SHA-256 of a JSON value in canonical form (sorted keys, compact)."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def sha256(path):
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
            else hashlib.sha256(stream.read()).hexdigest()
