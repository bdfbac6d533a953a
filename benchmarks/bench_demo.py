"""Where the demo's time goes: which share is training, evaluation or data work, and which is anything else.

``python benchmarks/bench_demo.py`` makes the whole demo, on two cores, in a copy of the checkout of its own,
in a quarter of an hour. Wanted: no more than a quarter of the cores' time for anything but work.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORES = 2


def main() -> None:
    """Make the demo and print the shares."""
    with tempfile.TemporaryDirectory() as temporary:
        checkout, clock = Path(temporary) / "checkout", Path(temporary) / "clock"
        clock.mkdir()
        for name in ("cld", "data_prep", "workflow", "config", "slurm", "environment.yml"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, checkout / name)
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "benchmarks/import_clock"),
            "IMPORT_CLOCK": str(clock),
        }
        command = [sys.executable, "-m", "snakemake", "--cores", str(CORES), "--quiet", "all"]
        began = time.perf_counter()
        subprocess.run(command, cwd=checkout, env=environment, check=True)
        wall = time.perf_counter() - began
        print_shares(wall, [json.loads(path.read_text(encoding="utf-8")) for path in clock.iterdir()])


def print_shares(wall: float, processes: list[dict]) -> None:
    """The cores' time by what it went into, and by command.

    Args:
        wall: of the whole demo, in seconds.
        processes: what :mod:`import_clock.sitecustomize` wrote of each.
    """
    work, imports, jobs = defaultdict(float), defaultdict(float), defaultdict(int)
    for process in processes:
        line = " ".join(process["command"])
        if not (name := re.search(r"-m ((?:cld|data_prep)[\w.]*(?: \w+)?)", line)):
            continue  # Snakemake itself
        if "--listen" in process["command"]:  # loads the libraries, once, and then waits
            imports["cld.runtime.warm"] += process["imports_s"]
            continue
        cores = int(found[1]) if (found := re.search(r"--workers (\d+)", line)) else 1
        work[name[1]] += (process["s"] - process["imports_s"]) * cores
        imports[name[1]] += process["imports_s"] * cores
        jobs[name[1]] += 1
    total = wall * CORES
    print(f"the demo: {wall / 60:.1f} minutes on {CORES} cores")
    shares = {"work": sum(work.values()), "imports": sum(imports.values())}
    shares["Snakemake, and cores with nothing to do"] = total - sum(shares.values())
    for name, seconds in shares.items():
        print(f"{name:<42}{seconds / total:>7.1%}")
    print(f"\n{'command':<42}{'jobs':>7}{'work':>8}{'imports':>9}")
    for name in sorted(imports, key=lambda name: -work[name]):
        print(f"{name:<42}{jobs[name]:>7}{work[name] / total:>8.1%}{imports[name] / total:>9.1%}")


if __name__ == "__main__":
    main()
