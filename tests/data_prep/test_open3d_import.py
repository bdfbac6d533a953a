"""Open3D where libusb is missing: imported all the same, or a line that names the package."""

import importlib

import pytest

from cld.runtime.errors import InputError
from data_prep.kitchen.open3d_import import import_open3d

MISSING = ImportError("libusb-1.0.so.0: cannot open shared object file: No such file or directory")


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        ({"open3d": [MISSING]}, None),
        ({"open3d": [MISSING], "libusb_package": [ModuleNotFoundError("no libusb_package")]}, "libusb-1.0-0"),
        ({"open3d": [MISSING, MISSING]}, "libusb-1.0-0"),
        ({"open3d": [ImportError("libGL.so.1: cannot open shared object file")]}, "libGL.so.1"),
        ({"open3d": [ModuleNotFoundError("No module named 'open3d'")]}, "install the project's requirements"),
    ],
)
def test_open3d_is_imported_or_what_is_missing_is_named(monkeypatch, errors, message):
    """``errors``: by module, what its first attempts to import raise."""
    real, errors = importlib.import_module, {name: list(group) for name, group in errors.items()}

    def import_module(name, package=None):
        if errors.get(name):
            raise errors[name].pop(0)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", import_module)
    if message is None:
        assert hasattr(import_open3d(), "geometry")
    else:
        with pytest.raises(InputError, match=message):
            import_open3d()
