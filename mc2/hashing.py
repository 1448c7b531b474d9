"""The one keyed hash: every draw, choice, sample and order of mc2 is made with it."""
import hashlib


def keyed_hash(*fields):
    """BLAKE2b of the fields, as a 64-bit integer: each field in UTF-8, after its length in 8 bytes."""
    message = b"".join([len(field).to_bytes(8, "little") + field for field in map(str.encode, fields)])
    return int.from_bytes(hashlib.blake2b(message, digest_size=8).digest(), "big")
