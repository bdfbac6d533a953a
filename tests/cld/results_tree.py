"""A results folder as the workflow leaves it, with invented numbers."""

import json
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from cld.evaluation.protocol_names import METRICS
from cld.evaluation.statistics import packed_hits
from cld.reporting.tables.cell import summarise
from cld.reporting.tables.spec import Cell, Table

CODE = {"version": "0.1.0", "commit": "1a2b3c4d" + 32 * "0", "dirty": False}
OTHER_CODE = {"version": "0.2.0", "commit": None, "dirty": None}
PROVENANCE = {
    "code": CODE,
    "trained_by": None,
    "libraries": {"python": "3.11.2", "torch": "2.14.1"},
    "device": "a processor",
    "threads": 1,
    "date": "2026-11-01T10:00:00+00:00",
    "data_checksum": 64 * "d",
    "wall_time_s": 3.5,
}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def score(
    value: float,
    seed: int | None = 0,
    run: str | None = "r",
    protocol: str = "knn",
    code: dict = CODE,
) -> dict:
    """A score of 100 images that is ``value`` by every metric."""
    hits = packed_hits(np.arange(100) < value)
    return {
        "protocol": protocol,
        "preset": "demo",
        "dataset": "kitchen_hc",
        "run": run,
        "seed": seed,
        "metrics": {metric: value for metrics in METRICS.values() for metric in metrics},
        "settings": {"k": 20, "split": "test"},
        "details": {"n": 100, "hits": {"top1": hits}},
        "provenance": PROVENANCE | {"code": code, "date": f"2026-11-0{(seed or 0) + 1}T10:00:00+00:00"},
    }


def write_run(folder: Path, run: str, config: dict, epochs: int = 3) -> None:
    """A trained run: configuration, log, checkpoint, and what its job cost."""
    write(folder / f"runs/{run}/config.yaml", yaml.safe_dump(config))
    rows = [f"{i + 1},{11 * (i + 1)},0.06,1000,1795440284,{9 - i}.5,nan" for i in range(epochs)]
    write(folder / f"runs/{run}/log.csv", "epoch,step,lr,images_per_s,ended,loss,odd\n" + "\n".join(rows))
    write(folder / f"runs/{run}/checkpoint.pt", "weights")
    write(folder / f"benchmarks/pretrain/{run}.tsv", "s\th:m:s\tmax_rss\n26.40\t0:00:26\t1024.00\n")


def write_cell(results: Path, cell: Cell, value: float, code: dict = CODE) -> None:
    """A built cell with all that it was made of; a seed's value is one above the last one's."""
    folder, runs = results / cell.preset, cell.runs
    subjects = runs or {None: None}
    scores = []
    for offset, (run, config) in enumerate(subjects.items()):
        if config:
            write_run(folder, run, config)
        scores.append(score(value + offset, config and config["seed"], run, cell.protocol, code))
        write(folder / f"scores/{run or cell.dataset}/{cell.protocol}.json", json.dumps(scores[-1]))
    write(results / cell.path, json.dumps(summarise(cell, scores)))


def write_table(results: Path, table: Table) -> None:
    """All cells of a table, its files, a figure and its dataset's card."""
    for number, cell in enumerate(table.cells.values()):
        write_cell(results, cell, 40.0 + number)
    folder = results / "demo"
    for kind in ("csv", "html"):
        write(folder / f"tables/{table.name}.{kind}", kind)
    for picture in ("figures/fig_a1.png", "stores/kitchen_hc.card.png"):
        (folder / picture).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1500, 300), "navy").save(folder / picture)
    write(
        folder / "stores/kitchen_hc.card.md",
        "# kitchen_hc\n\n- images: 32×32\n- file: `x.h5`\n\n## Classes\n",
    )
