"""The index page as HTML: one file that loads nothing from anywhere."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from cld.reporting.durations import duration

_TEMPLATES = Environment(
    loader=PackageLoader("cld.reporting.page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.filters["duration"] = duration
_TEMPLATES.policies["json.dumps_kwargs"] = {
    "sort_keys": False
}  # curves and settings stand as they are logged


def render(page: dict) -> str:
    """The page of what :func:`cld.reporting.page.content.gather` found."""
    return _TEMPLATES.get_template("index.html.j2").render(page)
