"""Temporary files, and what libraries compile: in a folder of the process's own, which ends with it.

By themselves libraries keep what they compile where all processes of a user share it: in the home folder,
which on a cluster is small or slow, or in /tmp. Processes that compile the same at once, or are killed
meanwhile, can break it for each other.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Folders by the environment variable that names them.
CACHES = {
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
    "TORCH_EXTENSIONS_DIR": "extensions",
    "CUDA_CACHE_PATH": "cuda",
}
#: Of a folder for temporary files, in bytes: the names of sockets in it end at 107.
LONGEST = 70


@contextmanager
def own_caches() -> Iterator[None]:
    """Make a folder for what this process compiles and for its temporary files, and remove it at the end.

    It lies in $SLURM_TMPDIR where Slurm makes one, and else in $TMPDIR. Variables of CACHES that are set
    already stay as they are.
    """
    of_job, before = os.environ.get("SLURM_TMPDIR", ""), tempfile.tempdir
    folder = Path(tempfile.mkdtemp(prefix="cld-", dir=of_job if os.path.isdir(of_job) else None))
    ours = {name: str(folder / place) for name, place in CACHES.items() if name not in os.environ}
    if len(os.fsencode(folder)) <= LONGEST:
        tempfile.tempdir = ours["TMPDIR"] = str(folder)
    earlier = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        tempfile.tempdir = before
        for name, value in earlier.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)
