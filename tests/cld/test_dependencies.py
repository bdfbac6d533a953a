"""Which packages may import which: no arrow runs back up."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What each package may not import, itself or through what it imports.
FORBIDDEN = {
    "cld/runtime": ("cld.data", "cld.methods", "cld.training", "cld.evaluation", "cld.reporting"),
    "cld/data": ("cld.methods", "cld.training", "cld.evaluation", "cld.reporting"),
    "cld/methods": ("cld.training", "cld.evaluation", "cld.reporting"),
    "cld/training": ("cld.evaluation", "cld.reporting"),
}


def imports(path: Path) -> set[str]:
    """The modules that a file imports anywhere; of ``from a import b`` both ``a`` and ``a.b``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    return found


def reached(modules: set[str]) -> set[str]:
    """These modules of the project, and those that they import, and so on."""
    seen, waiting = set(), list(modules)
    while waiting:
        module = waiting.pop()
        base = ROOT / module.replace(".", "/")
        path = next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
        if path and module not in seen:
            seen.add(module)
            waiting += imports(path)
    return seen


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_package_imports_one_above_it(package):
    own = {name for path in (ROOT / package).rglob("*.py") for name in imports(path)}
    assert not [module for module in sorted(reached(own)) if module.startswith(FORBIDDEN[package])]
