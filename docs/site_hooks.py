"""What the site changes of its pages; see mkdocs.yml."""

import re


def on_page_content(html: str, **_: object) -> str:
    """Docstrings refer to code as ``:func:`name```; a page shows the name."""
    return re.sub(r":(?:func|class|mod|meth|data):(<code>)", r"\1", html)
