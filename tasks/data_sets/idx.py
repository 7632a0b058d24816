"""IDX files: arrays of bytes, as MNIST and its likes are published.

Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", the file format.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatelab.tasks.data_sets.data_set import DataError
from gatelab.tasks.data_sets.unpacking import opened

_UNSIGNED_BYTES = 0x08
_PART = 2**20

Bytes = npt.NDArray[np.uint8]


def read_idx(path: Path, *shape: int) -> Bytes:
    """Return the array of an IDX file, packed or not.

    Args:
        path: Of the file.
        shape: Of one entry: ``28, 28`` for images, nothing for labels.

    Raises:
        DataError: If it is no such file, or holds more or fewer bytes than it says.
    """
    with opened(path) as file:
        head = file.read(4 + 4 * (1 + len(shape)))
        sizes = _sizes(path, head, len(shape) + 1)
        if tuple(sizes[1:]) != shape:
            raise DataError(f"{path} holds entries of {tuple(sizes[1:])}, where {shape} are due.")
        content = bytearray()  # read whole at once a packed file takes twice its size
        for part in iter(partial(file.read, _PART), b""):
            content += part
    read = np.frombuffer(content, np.uint8)
    if len(read) != np.prod(sizes):
        raise DataError(f"{path} says it holds {tuple(sizes)} bytes, but holds {len(read)}.")
    return read.reshape(sizes)


def _sizes(path: Path, head: bytes, dimensions: int) -> list[int]:
    magic = bytes([0, 0, _UNSIGNED_BYTES, dimensions])
    if head[:4] != magic or len(head) < 4 + 4 * dimensions:
        raise DataError(
            f"{path} is no IDX file of bytes in {dimensions} dimensions: it begins with "
            f"{head[:4].hex()}, where {magic.hex()} is due."
        )
    return [int(size) for size in np.frombuffer(head[4:], ">u4")]
