"""The index page as HTML: one file that loads nothing from anywhere."""

from jinja2 import Environment, PackageLoader, StrictUndefined

_TEMPLATES = Environment(
    loader=PackageLoader("cld.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def duration(seconds: float) -> str:
    """``26 s``, ``12 min``, ``3.4 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


_TEMPLATES.filters["duration"] = duration
_TEMPLATES.policies["json.dumps_kwargs"] = {
    "sort_keys": False
}  # curves and settings stand as they are logged


def render(page: dict) -> str:
    """The page of what :func:`cld.report.page.gather` found."""
    return _TEMPLATES.get_template("index.html.j2").render(page)
