"""How an output was made, kept beside it: `FILE.manifest.json`, or `manifest.json` within a directory.

A manifest has `mc2` (version), `kind`, `command`, `options`, `inputs` (name, bytes, mtime_ns), `counts`
(in, out, and what was dropped for which reason), `seconds`, and what the kind adds, such as the
fingerprint of the metadata. That of a file has `output`: the file's bytes and CRC-32, by which damage is noticed. It is
a document with a checksum of its own (mc2/documents.py).
"""
import hashlib
import os
import shlex
import stat
import sys

from mc2 import __version__, documents, files
from mc2.errors import BadData, BadUsage

DATA_SET = "data set"               # the kind of what `mc2 export` writes


def describe_run(kind, inputs, options, counts=None, seconds=None, paths=None, **more):
    """The manifest of an output of this kind, made by the command that is running.

    paths: where other artefacts were, for `mc2 inspect`.
    """
    return {"mc2": __version__, "kind": kind, "command": files.printable(shlex.join(["mc2", *sys.argv[1:]])),
            "options": options, "inputs": [describe_file(path) for path in inputs], "counts": dict(counts or {}),
            "seconds": None if seconds is None else round(seconds, 3),
            "paths": {what: files.name_of(path) for what, path in (paths or {}).items()}, **more}


def paths_of(manifest, what, path):
    """Yield the paths at which the "metadata", "counts" or "thresholds" may be that the manifest of `path` names: as it
    names them, and where that is relative, below every directory that holds `path`, the nearest one first, since the
    command that named them ran in one of these most often. Whether it is there, and the same, is left to the caller."""
    named = ((manifest or {}).get("paths") or {}).get(what)
    if not named:
        return
    yield named
    if path == "-" or any(map(files.is_remote, (path, named))) or os.path.isabs(named):
        return
    directory = os.path.abspath(path)
    while directory != os.path.dirname(directory):
        directory = os.path.dirname(directory)
        yield os.path.join(directory, named)


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
    files.write_bytes(beside(path), documents.dumped(manifest), is_own=True)


def write_for_file(path, manifest):
    """Write the manifest of a file, with the file's bytes and checksum, by which damage or a replacement is noticed."""
    write(path, {**manifest, "output": files.content_of(path)})


def read(path):
    """The manifest of an output, or None where mc2 wrote none, it is of an earlier file of that name, or the output is
    not there. Raises BadData where it is damaged."""
    manifest = _parsed(path)
    try:
        is_of_this = not manifest or "output" not in manifest or manifest["output"]["bytes"] == files.size(path)
    except OSError:
        return None
    return manifest if is_of_this else None


def sampled(paths):
    """How pairs were sampled by Algorithm 1 before they came into these files: {"seed", ...} of the first file whose
    manifest, or that of the data set of `mc2 export` that they belong to, says so, or None. Of a pipe that is not
    known."""
    for path in paths:
        manifest = (read_if_whole(path) or _of_data_set(path) if path != "-" else None) or {}
        if "sampled" in manifest:
            return manifest["sampled"]
        if manifest.get("stage") == "sample":           # of a version that did not note it
            return {key: value for key, value in manifest["options"].items() if key in ("seed", "one_per_image")}
    return None


def _of_data_set(path):
    """The manifest of the data set of `mc2 export` that a file without a manifest lies in, or None."""
    if files.is_remote(path):
        return None
    folder = os.path.dirname(os.path.abspath(path))             # DIR/data/train-00000-of-00001.tar
    manifest = read_if_whole(os.path.dirname(folder))
    return manifest if manifest and manifest.get("kind") == DATA_SET else None


def read_if_whole(path):
    """The same, but None also where it is damaged: for what is made anew then."""
    try:
        return read(path)
    except BadData:
        return None


def read_of_input(path):
    """The manifest of an input, or None where mc2 wrote none. Raises BadData where it is damaged, or where it is of a
    file of another size."""
    manifest = _parsed(path)
    expected = manifest["output"]["bytes"] if manifest and "output" in manifest else None
    if expected is not None and (found := files.size(path)) != expected:
        raise BadData(_is_changed(path, f"it is {found:,} bytes, and was {expected:,}"))
    return manifest


def common_lineage(inputs):
    """The fingerprints that the manifests of all inputs agree on, so that later commands can compare them."""
    found = [(read(path) or {}).get("lineage", {}) if path != "-" else {} for path in inputs]
    return {what: fingerprint for what, fingerprint in found[0].items()
            if all(each.get(what) == fingerprint for each in found)}


def verify(path):
    """Raise BadData where a local file that mc2 wrote, with a manifest beside it, is not what it was. Reads it once."""
    expected = crc32_of(path)
    if expected is not None and files.crc32_of(path) != expected:
        raise changed(path)


def crc32_of(path):
    """The CRC-32 that a file had when mc2 wrote it, or None where that is not known. Raises BadData as
    read_of_input."""
    return ((read_of_input(path) or {}).get("output") or {}).get("crc32")


def changed(path):
    """The error for a file whose checksum is not the one in its manifest."""
    return BadData(_is_changed(path, "its checksum is not the one that it had"))


def _is_changed(path, how):
    return (f"{files.name_of(path)}: is damaged, or was changed after mc2 wrote it: {how}. Make it again. Where it was "
            f"changed on purpose, delete {files.name_of(beside(path))}.")


def _parsed(path):
    """The manifest of an output, or None where mc2 wrote none. Raises BadData where it is damaged."""
    if not files.is_remote(path) and not os.path.isfile(beside(path)):      # a pipe would be waited for
        return None
    try:
        with files.open_raw(beside(path)) as stream:
            data = stream.read()
    except OSError:
        return None
    manifest = documents.parsed(data, files.name_of(beside(path)), f"So it is not known how {files.name_of(path)} was "
                                f"made. Make {'the directory' if os.path.isdir(path) else 'it'} again"
                                f"{'' if os.path.isdir(path) else ', or delete this manifest'}.")
    if "mc2" not in manifest:
        return None
    output = manifest.get("output", {"bytes": 0})
    if not isinstance(output, dict) or not isinstance(output.get("bytes"), int):
        raise BadData(f"{files.name_of(beside(path))}: is damaged (it does not say the size of its file). Delete it.")
    return manifest


def is_of(path, description):
    """The manifest of an output that was made as described, else None. description: all that the output depends on"""
    manifest = read_if_whole(path)
    return manifest if manifest is not None and manifest.get("description") == description else None


def read_kind(path, kind, made_by, or_else=""):
    """The manifest of a directory that must be of this kind. Raises BadUsage or BadData, naming `made_by`.

    or_else: the end of the sentence that names it, with another way to make one.
    """
    if not os.path.isdir(path):
        raise BadUsage(f"{path}: {'is no' if os.path.exists(path) else 'no such'} directory. "
                       f"Make it with 'mc2 {made_by}'{or_else}.")
    try:
        data = files.read_bytes(beside(path))
    except OSError:
        raise BadData(f"{path}: no readable manifest.json, so this is no {kind} directory. "
                      f"Make one with 'mc2 {made_by}'{or_else}.") from None
    manifest = documents.parsed(data, beside(path), f"Make the directory again with 'mc2 {made_by}'.")
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
    return documents.checksum(content)


def sha256(path):
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
            else hashlib.sha256(stream.read()).hexdigest()
