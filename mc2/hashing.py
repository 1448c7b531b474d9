"""The one keyed hash: every draw, choice, sample and order of mc2 is made with it."""
import hashlib

import numpy as np

from mc2 import engines


def keyed_hash(*fields):
    """BLAKE2b of the fields, as a 64-bit integer: each field in UTF-8, after its length in 8 bytes."""
    return _hash_of(map(str.encode, fields))


def keyed_hashes(leading, columns, rows=None):
    """keyed_hash(*leading, a string of each column) of many rows. uint64 (n,)

    leading: list of str. columns: of mc2.pairs.batch.Strings, all of one length. rows: int (n,), those that are wanted;
    None = all.
    """
    if native := engines.native():
        return native.hashes(leading, [(column.data, column.offsets) for column in columns], rows)
    rows = range(len(columns[0])) if rows is None else rows.tolist()
    leading = list(map(str.encode, leading))
    hashes = (_hash_of([*leading, *(column.one(row) for column in columns)]) for row in rows)
    return np.fromiter(hashes, np.uint64, len(rows))


def _hash_of(fields):
    """fields: bytes"""
    message = b"".join([len(field).to_bytes(8, "little") + field for field in fields])
    return int.from_bytes(hashlib.blake2b(message, digest_size=8).digest(), "big")
