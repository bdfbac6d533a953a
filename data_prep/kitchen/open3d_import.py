"""Open3D, imported on first use, also where the system has no libusb.

Open3D's shared library is linked against libusb-1.0 (for depth cameras), which a fresh Linux machine lacks.
The wheel ``libusb-package`` carries it: once loaded into the process, the linker finds it by its SONAME.
"""

import ctypes
import importlib
from types import ModuleType

from cld.runtime.errors import InputError

FIX = "install the system package libusb-1.0-0, or `pip install libusb-package`"


def import_open3d() -> ModuleType:
    """Return the module ``open3d``; the first call in a process costs about a second.

    Raises:
        InputError: Open3D is not installed, or a shared library that it needs is missing.
    """
    try:
        return importlib.import_module("open3d")
    except ModuleNotFoundError as error:
        raise InputError(f"{error}; install the project's requirements (open3d-cpu or open3d)") from error
    except ImportError as error:
        if "libusb" not in str(error):
            raise InputError(f"open3d: {error}; install the system package that has this library") from error
        _preload_libusb(error)
    try:
        return importlib.import_module("open3d")
    except ImportError as error:
        raise InputError(f"open3d: {error}; {FIX}") from error


def _preload_libusb(cause: ImportError) -> None:
    """Load the wheel's libusb into the process, with its symbols visible to libraries loaded later."""
    try:
        path = importlib.import_module("libusb_package").get_library_path()
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except (ImportError, OSError) as error:
        raise InputError(f"open3d: {cause}; {FIX}") from error
