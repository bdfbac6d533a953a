"""Clock of a process's imports, where its folder is on PYTHONPATH: a line of JSON a process in $IMPORT_CLOCK.

Python runs this at its start. Imports inside of imports are counted once, those of forked workers
not at all; a copy of the process that has the libraries loaded (cld.runtime.warm) counts from its beginning.
"""

import atexit
import json
import os
import sys
import threading
import time
from importlib import _bootstrap

BEGAN = time.perf_counter()
_imports = {"s": 0.0, "depth": 0}
_find_and_load = _bootstrap._find_and_load


def _timed(name: str, import_: object) -> object:
    if threading.current_thread() is not threading.main_thread() or _imports["depth"]:
        return _find_and_load(name, import_)
    _imports["depth"] = 1
    began = time.perf_counter()
    try:
        return _find_and_load(name, import_)
    finally:
        _imports["depth"] = 0
        _imports["s"] += time.perf_counter() - began


def _write() -> None:
    said = {"command": sys.orig_argv, "imports_s": _imports["s"], "s": time.perf_counter() - BEGAN}
    with open(os.path.join(os.environ["IMPORT_CLOCK"], f"{os.getpid()}.json"), "w", encoding="utf-8") as file:
        json.dump(said, file)


def _start_anew() -> None:
    global BEGAN
    BEGAN = time.perf_counter()
    _imports.update(s=0.0, depth=0)


if "IMPORT_CLOCK" in os.environ:
    os.register_at_fork(after_in_child=_start_anew)
    _bootstrap._find_and_load = _timed
    atexit.register(_write)
