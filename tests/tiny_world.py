"""A tiny preset and what every step makes of it; commands run in this process as if each had its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import yaml
from checkouts import ROOT, TABLE, TINY
from PIL import Image

from cld import config
from cld.runtime.errors import run_command
from cld.training.run_id import run_id

#: Modules that have the folder of configuration files by name.
WITH_CONFIG = (
    "cld.config",
    "cld.reporting.tables.spec",
    "cld.reporting.targets",
    "cld.checkpoints.exporting",
)
EVALUATION = """
  linear_published: {epochs: 6, milestones: [4], batch_size: 32}
  semisup: {epochs: 4, milestones: [2], batch_size: 32, lr: [0.01], head_multiplier: [10]}
  unsupervised: {max_images: 100, groups: 8, restarts: 1, n_iters: 3}
  detection:
    schedule: {voc07: {iterations: 4, steps: [3]}}
    images_per_step: 2
    lr: 0.002
    warmup_iterations: 2
    scales: {train: [48, 56], test: 48, longest: 96}
    anchors: {sizes: [16, 32]}
    proposals: {train: {before_nms: 50, after_nms: 20}, test: {before_nms: 50, after_nms: 20}}
    boxes: {pool: 4, sampled: 8}
"""
#: A command's time-out in seconds, and the most lines that a success prints to stderr.
HANGS_AFTER_S, MOST_LINES = 60, 25


class Outcome(NamedTuple):
    """How a command ended; ``status`` is None where it raised what no command may raise."""

    status: int | None
    stderr: str

    @property
    def fault(self) -> str | None:
        """What is wrong with it; None: a success, or status 2 and one line (and a list below it)."""
        lines = [line for line in self.stderr.splitlines() if not _BEGUN.match(line)]
        if self.status == 0:
            return f"{len(lines)} lines on stderr" if len(lines) > MOST_LINES else None
        if self.status != 2:
            return f"status {self.status}"
        if (
            not lines
            or not lines[0].startswith("error: ")
            or not all(line.startswith("  ") for line in lines[1:])
        ):
            return f"{len(lines)} lines on stderr where one refuses"
        return None


#: What a command says of work that it had begun before it met the bad input.
_BEGUN = re.compile(r"(.*: \d+/\d+ .* \(.*\))|(begins .* on .*)|(note: .*)")


class Hang(BaseException):
    """No ``except`` of a command catches it."""


def command(*argv: str) -> Outcome:
    """Run ``cld …`` or ``data_prep …`` in this process; what goes to stderr is read from its descriptor."""
    program, *arguments = map(str, argv)
    module = import_module(f"{program}.__main__")
    main = getattr(module, "dispatch", module.main)

    def hang(*_: object) -> None:
        raise Hang

    with tempfile.TemporaryFile("w+", errors="replace") as file, warnings.catch_warnings():
        warnings.simplefilter("default")
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)  # as Python's own settings
        stderr, old_handler = os.dup(2), signal.signal(signal.SIGALRM, hang)
        os.dup2(file.fileno(), 2)
        signal.alarm(HANGS_AFTER_S)
        try:
            with (
                patch.object(sys, "argv", [program, *arguments]),
                patch.object(sys, "stderr", os.fdopen(os.dup(2), "w", buffering=1, errors="replace")),
                patch.object(sys, "stdout", tempfile.TemporaryFile("w", errors="surrogateescape")),
                patch.object(warnings, "showwarning", _show_warning),
            ):
                status = _status(main)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, old_handler)
            os.dup2(stderr, 2)
            os.close(stderr)
        file.seek(0)
        return Outcome(status, file.read())


def process(launcher: list[str], *argv: object) -> Outcome:
    """Run a command in a process of its own."""
    environ = os.environ | {"CLD_CONFIG": str(config.CONFIG), "PYTHONPATH": str(ROOT)}
    command = [*launcher, *map(str, argv)]
    done = subprocess.run(command, env=environ, capture_output=True, timeout=HANGS_AFTER_S)
    return Outcome(done.returncode, done.stderr.decode(errors="replace"))


def _status(main: Callable[[], None]) -> int | None:
    try:
        run_command(main)
    except SystemExit as end:
        return 0 if end.code is None else end.code
    except (Exception, Hang):
        traceback.print_exc()
        return None
    return 0


def _show_warning(message: object, category: type, filename: str, lineno: int, *_: object) -> None:
    print(f"{filename}:{lineno}: {category.__name__}: {message}", file=sys.stderr)


class World:
    """A folder with configuration, generated sources, stores, a run, scores and a cell of the preset tiny."""

    def __init__(self, folder: Path):
        self.folder, self.config, self.out = folder, folder / "config", folder / "out"
        shutil.copytree(ROOT / "config", self.config)
        preset = TINY.replace("  pixel_knn: {k: 5}\n", f"  pixel_knn: {{k: 5}}{EVALUATION}")
        (self.config / "presets/tiny.yaml").write_text(preset)
        for table in (self.config / "tables").iterdir():
            if table.name not in ("table_a3.yaml", "table_folder.yaml"):
                table.unlink()
        table = TABLE.replace("kitchen_hc", "cifar10").replace("cld.n_groups: 4", "cld.n_groups: 8", 1)
        (self.config / "tables/table_a1.yaml").write_text(table)
        settings = yaml.safe_load((self.config / "config.yaml").read_text())
        settings |= {"preset": "tiny", "results": str(folder / "results")}
        (self.config / "config.yaml").write_text(yaml.safe_dump(settings))
        self.results = folder / "results/tiny"

    def path(self, name: str) -> Path:
        """A file under the preset's results."""
        return self.results / name

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have this process read the world's configuration, and any file of it anew once it has changed."""
        original = getattr(config._read_yaml, "__wrapped__", config._read_yaml)

        @cache
        def parsed(path: Path, _: bytes | None) -> dict:
            return original(path)

        def read(path: Path) -> dict:
            return parsed(path, path.read_bytes() if path.is_file() else None)

        read.cache_clear = parsed.cache_clear
        patches = [patch.object(import_module(name), "CONFIG", self.config) for name in WITH_CONFIG]
        patches += [patch.object(config, "ROOT", self.folder), patch.object(config, "_read_yaml", read)]
        here = Path.cwd()
        forget()
        for one in patches:
            one.start()
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(here)
            for one in patches:
                one.stop()
            forget()

    @contextmanager
    def edited(self, file: str, content: bytes) -> Iterator[None]:
        """Another content for a file; undone at the end."""
        path = self.folder / file
        good = path.read_bytes()
        path.write_bytes(content)
        try:
            yield
        finally:
            path.write_bytes(good)

    def build(self, *overrides: str) -> None:
        """Make everything, by the commands of the workflow; ``run`` is one that the table asks for."""
        path, self.run = self.path, run_id(config.load_run("tiny", "cifar10", "npid"))
        for source in ("cifar10", "voc"):
            self.made(
                "data_prep", "generate", *self.tiny("--source", source), "--out", path(f"data/{source}")
            )
        for dataset, source in (("cifar10", "cifar10"), ("voc07", "voc")):
            self.made("data_prep", "build", *self.build_arguments(dataset, source, path(f"stores/{dataset}")))
        self.made("cld", *self.train_arguments("npid", path(f"runs/{self.run}"), *overrides))
        self.made("cld", *self.train_arguments("npid", path("runs/r2"), "cld.weight=0.5"))
        for run in (self.run, "r2"):
            for protocol in ("knn", "unsupervised"):
                score = path(f"scores/{run}/{protocol}.json")
                self.made("cld", *self.evaluate_arguments(protocol, score, run=run))
        self.made("cld", *self.evaluate_arguments("pixel_knn", path("scores/cifar10/pixel_knn.json")))
        of_store = self.tiny("--store", path("stores/cifar10.h5"))
        self.made("cld", "semisup", "subset", *of_store, "--share", "0.3", "--out", path("subset.json"))
        self.made("cld", "semisup", "trial", *self.trial_arguments(path("trial.json")))
        checkpoint = path(f"runs/{self.run}/checkpoint.pt")
        self.made("cld", "export", checkpoint, *self.tiny("--out", path("exports/r")))
        self.write_odd_files()

    def write_odd_files(self) -> None:
        """Files that are rarely what a command wants, in ``odd``; and a folder ``photos`` of two classes."""
        odd = self.folder / "odd files"
        (odd / "folder").mkdir(parents=True)
        (odd / "empty").touch()
        (odd / "bytes").write_bytes(bytes(range(256)) * 4)
        for source in ("stores/voc07.h5", f"runs/{self.run}/checkpoint.pt", "subset.json"):
            shutil.copy(self.path(source), odd / f"x{Path(source).suffix}")
        (weights,) = self.path("exports/r").glob("*.pth")
        shutil.copy(weights, odd / "backbone.pth")
        self.made("cld", "pack", "--out", odd / "r.tar.gz")
        for number in range(10):
            photo = self.folder / f"photos/{'ab'[number % 2]}/{number}.png"
            photo.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20 + number, 20), (25 * number, 90, 10)).save(photo)

    def made(self, *argv: object) -> None:
        """Run a command, which must succeed."""
        done = command(*argv)
        assert done.status == 0, f"{argv}: {done.stderr}"

    @staticmethod
    def tiny(*arguments: object) -> list:
        """Arguments with the preset."""
        return ["--preset", "tiny", *arguments]

    def build_arguments(self, dataset: str, source: str, out: Path) -> list:
        """Of ``data_prep build``."""
        out = [f"--{kind}={out}{suffix}" for kind, suffix in _WRITTEN.items()]
        return self.tiny("--dataset", dataset, "--root", self.path(f"data/{source}"), *out)

    def train_arguments(self, method: str, run: Path, *overrides: str, dataset: str = "cifar10") -> list:
        """Of ``cld``."""
        store = self.path(f"stores/{dataset}.h5")
        arguments = ["--dataset", dataset, "--method", method, "--store", store, "--run-dir", run]
        return ["train", *self.tiny(*arguments), "--device", "cpu", *overrides]

    def evaluate_arguments(self, protocol: str, score: Path, dataset: str = "cifar10", run: str = "") -> list:
        """Of ``cld``."""
        subject = ["--store", self.path(f"stores/{dataset}.h5")]
        subject += ["--checkpoint", self.path(f"runs/{run or self.run}/checkpoint.pt")]
        return ["evaluate", protocol, *self.tiny(*subject, "--score", score)]

    def trial_arguments(self, out: Path) -> list:
        """Of ``cld semisup trial``."""
        subject = ["--store", self.path("stores/cifar10.h5"), "--subset", self.path("subset.json")]
        subject += ["--checkpoint", self.path(f"runs/{self.run}/checkpoint.pt"), "--device", "cpu"]
        return self.tiny(*subject, "--lr", "0.01", "--head-multiplier", "10", "--out", out)


_WRITTEN = {"store": ".h5", "manifest": ".manifest.csv", "report": ".report.md"}


def forget() -> None:
    """Empty the caches of the project's modules."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("cld.", "data_prep.")):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and getattr(value, "__module__", "") == name:
                    value.cache_clear()
