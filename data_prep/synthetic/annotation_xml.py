"""Pascal-VOC annotations as XML, from tags and their contents."""

from collections.abc import Sequence
from xml.etree import ElementTree

Content = object
"""Of a tag: a list of (tag, content) pairs, or a value."""


def annotation_xml(content: Sequence[tuple[str, Content]], indent: str) -> bytes:
    """The file of one picture."""
    root = _element("annotation", content)
    ElementTree.indent(root, indent)
    return ElementTree.tostring(root) + b"\n"


def size_tag(width: int, height: int) -> tuple[str, Content]:
    """The size of a picture with three channels."""
    return "size", [("width", width), ("height", height), ("depth", 3)]


def box_tag(left: float, top: float, right: float, bottom: float) -> tuple[str, Content]:
    """A box, given by 0-based edges, right and bottom exclusive: the file's are 1-based and inclusive."""
    corners = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
    return "bndbox", [(tag, f"{value:g}") for tag, value in corners.items()]


def _element(tag: str, content: Content) -> ElementTree.Element:
    element = ElementTree.Element(tag)
    if isinstance(content, list):
        element.extend(_element(*child) for child in content)
    else:
        element.text = str(content)
    return element
