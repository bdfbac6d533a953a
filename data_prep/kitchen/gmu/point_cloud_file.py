"""PLY files checked for completeness: Open3D fills the points that a file lacks with arbitrary memory."""

import re
from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError

_TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"}
_TYPES |= {"float": "f4", "double": "f8"}


def check_complete(path: Path) -> None:
    """Check that a PLY file holds all the vertices that its header promises.

    Raises:
        InputError: the file cannot be read, is not a PLY file, or is cut short.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: not readable ({error}); fetch it again") from error
    header, _, body = content.partition(b"end_header")
    vertices = re.search(
        rb"\Aply\b.*^element vertex (\d+)\s*$(.*?)(?:^element |\Z)", header, re.MULTILINE | re.DOTALL
    )
    if not body or vertices is None:
        raise InputError(f"{path}: not a PLY file of points; fetch it again")
    n_vertices = int(vertices[1])
    types = re.findall(r"^property (\w+) \w+\s*$", vertices[2].decode("latin1"), re.MULTILINE)
    if re.search(rb"^format ascii", header, re.MULTILINE):
        complete = len(body.split()) >= n_vertices * len(types)
    else:
        size = sum(np.dtype(_TYPES.get(name, name)).itemsize for name in types)
        complete = len(body.partition(b"\n")[2]) >= n_vertices * size
    if not complete:
        raise InputError(f"{path}: cut short; fetch it again")
