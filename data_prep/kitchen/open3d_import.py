"""Open3D, imported on first use, also where the system has no libusb.

It is imported late because not every machine has it, and only the kitchens need it.
"""

import ctypes
import importlib
from types import ModuleType

from cld.runtime.errors import InputError


def import_open3d() -> ModuleType:
    """Return the module ``open3d``; the first call in a process costs about a second.

    Open3D's shared library is linked against libusb-1.0 (for depth cameras), which a fresh Linux machine
    lacks. The wheel ``libusb-package`` carries it: once loaded, the linker finds it by its SONAME.

    Raises:
        InputError: Open3D is not installed, or a shared library that it needs is missing.
    """
    try:
        return importlib.import_module("open3d")
    except ImportError as error:
        if "libusb" not in str(error):
            raise InputError(f"{error}; install the project's requirements and this library") from error
    try:
        path = importlib.import_module("libusb_package").get_library_path()
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        return importlib.import_module("open3d")
    except (ImportError, OSError) as error:
        raise InputError(
            f"open3d: {error}; install the system package libusb-1.0-0, or `pip install libusb-package`"
        ) from error
