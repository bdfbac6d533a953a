"""PLY files checked for completeness: Open3D fills the points that a file lacks with arbitrary memory."""

import re
from pathlib import Path

from cld.runtime.errors import InputError

_SIZES = {"char": 1, "short": 2, "int": 4, "float": 4, "double": 8}
_SIZES |= {"int8": 1, "int16": 2, "int32": 4, "float32": 4, "float64": 8}
_SIZES |= {f"u{name}": size for name, size in _SIZES.items() if "int" in name or name in ("char", "short")}


def check_complete(path: Path) -> None:
    """Check that a PLY file holds all the vertices that its header promises.

    Raises:
        InputError: the file cannot be read, is not a PLY file, or is cut short.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: not readable ({error}); fetch it again") from error
    header, end, body = content.partition(b"end_header")
    lines = header.decode("ascii", errors="replace").splitlines()
    count = re.search(r"^element vertex (\d+)\s*$", "\n".join(lines), re.MULTILINE)
    if lines[:1] != ["ply"] or not end or count is None:
        raise InputError(f"{path}: not a PLY file of points; fetch it again")
    body = body[body.find(b"\n") + 1 :]
    types = _vertex_properties(lines)
    if any(line.startswith("format ascii") for line in lines):
        complete = len(body.split()) >= int(count[1]) * len(types)
    else:
        complete = len(body) >= int(count[1]) * sum(_SIZES.get(name, 0) for name in types)
    if not complete:
        raise InputError(f"{path}: cut short; fetch it again")


def _vertex_properties(lines: list[str]) -> list[str]:
    """Types of the vertices' properties, in order."""
    types, in_vertex = [], False
    for words in map(str.split, lines):
        if words[:1] == ["element"]:
            in_vertex = words[1:2] == ["vertex"]
        elif words[:1] == ["property"] and in_vertex:
            types.append(words[1])
    return types
