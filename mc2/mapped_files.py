"""Files mapped into memory that hold no descriptor.

Those of Python's mmap, and so of NumPy, each hold one as long as they are open: 191 for the counts of a release.
"""
import ctypes
import functools
import mmap
import os
import weakref

import numpy as np

_FAILED = ctypes.c_void_p(-1).value


def bytes_of(path):
    """The bytes of a file, mapped, to be read only: uint8 (size,). Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        if not size:
            return np.empty(0, np.uint8)            # mmap refuses to map nothing
        mapped = _Mapping(descriptor, size)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(descriptor)
    found = np.frombuffer(mapped.buffer, np.uint8)
    found.flags.writeable = False
    return found


def array(path, found):
    """An array in a file of np.save, mapped. found: the same array as np.load maps it, a np.memmap"""
    data = bytes_of(path)[found.offset:found.offset + found.nbytes].view(found.dtype)
    return data.reshape(found.shape, order="F" if found.flags.f_contiguous and not found.flags.c_contiguous else "C")


@functools.cache
def _library():
    """The C library."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    return library


class _Mapping:
    """A mapping that ends with its buffer: with the last array that looks at it."""

    def __init__(self, descriptor, size):
        library = _library()
        address = library.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ, mmap.MAP_SHARED, descriptor,
                               ctypes.c_longlong(0))
        if address == _FAILED:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self.buffer = (ctypes.c_char * size).from_address(address)
        ending = weakref.finalize(self.buffer, library.munmap, ctypes.c_void_p(address), ctypes.c_size_t(size))
        ending.atexit = False                       # arrays may be looked at until the process ends
