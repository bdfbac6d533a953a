"""How cost grows: a step's time and memory, kNN's time, and the planning of the workflow.

``python benchmarks/bench_growth.py`` takes about two minutes. The fitted exponent is the slope between the
two largest sizes, where what does not grow matters least; each point is measured in a process of its own.
"""

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from math import log
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from bench_steps import training_step
from timing import Row, on_one_core, record
from torch.nn.functional import normalize

from cld.knn_vote import knn_classify

PICTURE = "pictures/performance/growth.png"
#: So narrow that losses and clustering weigh; other sizes than the one that grows.
NETWORK = {
    "backbone.blocks": [1, 1, 1, 1],
    "backbone.width": 4,
    "backbone.stem": "small_stride2",
    "precision": "fp32",
    "optimiser.batch_size": 256,
    "cld.n_groups": 32,
    "queue.size": 4096,
}
ROOT = Path(__file__).parents[1]
#: A slope above what is expected by more than this is a miss: timings scatter.
SLACK = 0.15
#: Sizes with seconds and MiB.
Curve = list[tuple[int, float, float]]


def main() -> None:
    """Record the rows and draw the picture."""
    curves = {
        "batch": step("npid", "optimiser.batch_size", [128, 256, 512, 1024]),
        "groups": step("npid", "cld.n_groups", [64, 256, 1024], {"optimiser.batch_size": 1024}),
        "bank": step("npid", None, [2**14, 2**16, 2**18]),
        "queue": step("moco", "queue.size", [2**14, 2**16, 2**18]),
        "training features of kNN": [in_child(neighbours, n) for n in (2**16, 2**18, 2**20)],
        "cells, cld plan": planning([1, 3, 10], PLAN),
        "cells, dry run": planning([1, 3, 10], DRY_RUN),
    }
    rows = []
    for name, points in curves.items():
        n, seconds, mib = points[-1]
        notes = {"time": f"{n:,}: {seconds:.2f} s, {mib:.0f} MiB", "memory": ""}
        for place, (what, note) in enumerate(notes.items(), start=1):
            exponent = slope([(point[0], point[place]) for point in points])
            rows.append(Row(f"{what} over {name}", "exponent 1", exponent, f"<= {1 + SLACK}", note))
    draw(curves)
    about = "Fitted exponents; time of a step of NPID + CLD (queue: MoCo + CLD) with a narrow network."
    record("Growth", about, rows, PICTURE)


def step(method: str, key: str | None, sizes: list[int], others: Mapping = NETWORK) -> Curve:
    """A step with one size at several values; without a key, that of the bank."""
    return [
        in_child(one_step, n, method, {**NETWORK, **others, **({key: n} if key else {})}, max(n, 4096))
        for n in sizes
    ]


def one_step(n: int, method: str, overrides: Mapping, n_images: int) -> Callable[[], object]:
    """A step, ready to be timed."""
    return training_step(method, overrides, n_images)[0]


def neighbours(n: int) -> Callable[[], object]:
    """256 queries among ``n`` training features."""
    train, queries = (normalize(torch.randn(rows, 128), dim=1) for rows in (n, 256))
    labels = torch.randint(10, (n,))
    return lambda: knn_classify(train, labels, queries, 10, 200, 0.1)


def in_child(prepare: Callable, n: int, *arguments: object) -> tuple[int, float, float]:
    """Size, seconds (the best of three) and MiB above this process of what ``prepare`` gives, in a fork."""
    ours, theirs = multiprocessing.Pipe()

    def measure() -> None:
        before = peak_mib()
        call, seconds = prepare(n, *arguments), []
        call()
        for _ in range(3):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
        theirs.send((n, min(seconds), peak_mib() - before))

    child = multiprocessing.get_context("fork").Process(target=measure)
    child.start()
    theirs.close()
    point = ours.recv()
    child.join()
    return point


def peak_mib() -> float:
    """The most memory that this process has had."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


PLAN = [sys.executable, "-m", "cld", "plan", "--preset", "paper", "--tables"]
DRY_RUN = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "all", "--nolock", "--cores", "1"]
DRY_RUN += ["--snakefile", str(ROOT / "workflow/Snakefile"), "--config", "preset=paper", "--"]


def planning(multiples: list[int], command: list[str]) -> Curve:
    """A command in a folder whose configuration has ``table_methods`` several times, each with other runs."""
    points = []
    for times in multiples:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shutil.copytree(ROOT / "config", folder / "config")
            table = (folder / "config/tables/table_methods.yaml").read_text(encoding="utf-8")
            targets = ["table_a1", "table_a2", "table_a3", "table_a4", "table_methods"]
            for copy in range(1, times):
                targets.append(f"table_methods{copy}")
                text = table.replace("\ndataset:", f"\nset: {{temperature: 0.{100 + copy}}}\ndataset:", 1)
                (folder / f"config/tables/{targets[-1]}.yaml").write_text(text, encoding="utf-8")
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "CLD_CONFIG": str(folder / "config")}
            began = time.perf_counter()
            process = subprocess.Popen(
                [*command, *targets], cwd=folder, env=environment, stdout=subprocess.DEVNULL
            )
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"{' '.join(command)}: status {status}")
            points.append((times, time.perf_counter() - began, usage.ru_maxrss / 1024))
    return points


def slope(points: list[tuple[int, float]]) -> float:
    """The exponent between the last two points."""
    (n1, y1), (n2, y2) = points[-2:]
    return log(max(y2, 1e-9) / max(y1, 1e-9)) / log(n2 / n1)


def draw(curves: Mapping[str, Curve]) -> None:
    """A small panel for each curve: time and memory, relative to the largest size, and what is expected."""
    figure, axes = plt.subplots(2, 4, figsize=(11, 5), layout="constrained")
    for axis, (name, points) in zip(axes.flat, curves.items(), strict=False):
        sizes = [n for n, _, _ in points]
        for place, label in ((1, "time"), (2, "memory")):
            axis.loglog(sizes, [each[place] / points[-1][place] for each in points], "o-", label=label)
        axis.loglog(sizes, [n / sizes[-1] for n in sizes], "k:", label="exponent 1")
        axis.set_title(name, fontsize=9)
        axis.set_xticks(sizes, [f"{n:,}" for n in sizes], fontsize=7)
        axis.tick_params(labelsize=7)
        axis.minorticks_off()
    axes.flat[0].legend(fontsize=7)
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    path = ROOT / "docs" / PICTURE
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    on_one_core()
    main()
