"""A run's log: ``log.csv``, one row an epoch, and the same numbers as TensorBoard curves under ``tb/``.

Both are written from rows that the checkpoint keeps, so a resumed run has each epoch once in both.
"""

import shutil
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from cld.training.run_folder import LOG, NOT_CURVES, write_log


class TrainingLog:
    """Writes the log of a run folder; use as a context manager.

    Args:
        run_dir: an earlier log in it is replaced.
        rows: one dictionary an epoch done so far; :meth:`append` adds to this list.
    """

    def __init__(self, run_dir: Path, rows: list[dict[str, float]]):
        self.path, self.rows = run_dir / LOG, rows
        shutil.rmtree(run_dir / "tb", ignore_errors=True)
        self.curves = SummaryWriter(str(run_dir / "tb"))

    def __enter__(self) -> "TrainingLog":
        self._write(self.rows)
        return self

    def __exit__(self, *_: object) -> None:
        self.curves.close()

    def append(self, row: dict[str, float]) -> None:
        """Add an epoch."""
        self.rows.append(row)
        self._write([row])

    def _write(self, new: list[dict[str, float]]) -> None:
        for row in new:
            for name in row.keys() - NOT_CURVES:
                self.curves.add_scalar(name, row[name], row["step"], walltime=row["ended"])
        self.curves.flush()
        write_log(self.path, self.rows)
