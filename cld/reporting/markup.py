"""Texts that are filled in: the templates in ``templates/``, and what is escaped in LaTeX."""

import textwrap
import unicodedata
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cld.reporting.times import duration
from cld.runtime import markdown

#: Characters in a line of a column's name, at most.
HEAD = 20

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "’": "'",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "∞": r"$\infty$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
for _letter in "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ":  # the other capitals look like Latin ones
    _name = unicodedata.name(_letter).rpartition(" ")[2].replace("LAMDA", "LAMBDA")
    _TEX[_letter] = f"$\\{_name.lower() if _letter.islower() else _name.capitalize()}$"


def tex(text: str) -> str:
    """``text`` on one line, with LaTeX's special characters escaped and Greek letters by name."""
    return "".join(_TEX.get(character, character) for character in " ".join(text.split()))


def tex_head(text: str) -> str:
    """The name of a column in LaTeX: in several lines where it is long."""
    lines = [tex(line) for line in textwrap.wrap(text, HEAD) or [""]]
    return lines[0] if len(lines) == 1 else r"\shortstack{" + r" \\ ".join(lines) + "}"


_TEMPLATES = Environment(
    loader=PackageLoader("cld.reporting"),
    autoescape=select_autoescape(["html.j2"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.filters |= {"tex": tex, "tex_head": tex_head, "md": markdown.escaped, "duration": duration}
# curves and settings keep the order in which they are logged
_TEMPLATES.policies["json.dumps_kwargs"] = {"sort_keys": False}


def filled(template: str, values: Mapping) -> str:
    """A template of ``templates/``, such as ``table.md.j2``, with its values."""
    return _TEMPLATES.get_template(template).render(values)
