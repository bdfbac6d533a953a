"""Annotations in Pascal VOC's XML, whoever wrote them.

What differs between writers, and how it is read: coordinates may be floats; ``truncated`` and ``difficult``
may be missing, words or numbers; the size may be missing, or 0 where it is unknown. The parts of an object
are not read.
"""

from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from xml.etree import ElementTree

from cld.runtime.errors import InputError
from data_prep.common.boxes import Box, from_voc


@dataclass(frozen=True)
class AnnotatedBox:
    """One annotated object of an image, its name as the file spells it."""

    name: str
    box: Box
    truncated: bool = False
    difficult: bool = False


@dataclass(frozen=True)
class Annotation:
    """One image's annotation: (width, height) where it has them, and the boxes."""

    size: tuple[int, int] | None
    boxes: tuple[AnnotatedBox, ...]


def read_annotation(path: Path, content: bytes | None = None) -> Annotation:
    """Read a Pascal VOC file, from disk where ``content`` does not hold its bytes already.

    Raises:
        InputError: not XML, not a VOC annotation, or an object without a name or with a coordinate that is
            not a number.
    """
    try:
        root = ElementTree.fromstring(path.read_bytes() if content is None else content)
    except (OSError, ElementTree.ParseError, LookupError, ValueError) as error:
        raise InputError(f"{path}: not readable as XML ({error}); fetch it again") from error
    if root.tag != "annotation":
        raise InputError(f"{path}: its root is <{root.tag}>, not <annotation>; fetch it again")
    boxes = []
    for element in root.iter("object"):
        name = (element.findtext("name") or "").strip()
        if not name:
            raise InputError(f"{path}: an object without a name; fix or remove it")
        corners = (_number(element, f"bndbox/{corner}", path) for corner in ("xmin", "ymin", "xmax", "ymax"))
        flags = (_flag(element.findtext(flag)) for flag in ("truncated", "difficult"))
        boxes.append(AnnotatedBox(name, from_voc(*corners), *flags))
    size = None
    if root.findtext("size/width") and root.findtext("size/height"):
        size = int(_number(root, "size/width", path)), int(_number(root, "size/height", path))
    return Annotation(size if size and all(size) else None, tuple(boxes))


def _number(element: ElementTree.Element, tag: str, path: Path) -> float:
    content = element.findtext(tag)
    try:
        value = float(content)
    except (TypeError, ValueError):
        value = nan
    if not isfinite(value):
        raise InputError(f"{path}: <{tag}> is {content!r}, not a number; fix or remove it")
    return value


def _flag(content: str | None) -> bool:
    return (content or "").strip().lower() in {"1", "true", "yes"}
