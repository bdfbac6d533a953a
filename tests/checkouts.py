"""A checkout of one's own to run the workflow in, with a preset that is tiny."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]

TINY = """
title: tiny scale
seeds: [0, 1]
by_hand: true
run:
  backbone: {blocks: [1, 1, 1, 1], width: 4, stem: small_stride2}
  optimiser: {epochs: 2, warmup_epochs: 1, batch_size: 32, parts: 1}
  cld: {n_groups: 8}
  queue: {size: 32}
methods: {}
evaluation:
  knn: {k: 5}
  pixel_knn: {k: 5}
cluster: {device: core, parallel_jobs: 2, macs_per_s: 5.0e+9}
all_evaluations: {dataset: cifar10, methods: [npid, moco], detection: [voc07]}
sources:
  gmu_kitchens:
    generate: {frames_per_scene: 8, empty_per_scene: 0, unannotated_per_scene: 0, width: 240, height: 136}
  cifar10: {generate: {train: 200, test: 50}}
  cifar100: {generate: {train: 400, test: 100}}
  stl10: {generate: {train: 50, unlabelled: 30, test: 30}}
  imagenet:
    generate: {listed_synsets: 4, other_synsets: 2, train_per_synset: 16, val_per_synset: 4, lt_most: 9}
  voc: {generate: {trainval_2007: 24, test_2007: 12, trainval_2012: 24}}
datasets:
  kitchen_hc: {build: {min_side_px: 4}}
  voc07: {build: {expect: {train: null, test: null}}}
  voc0712: {build: {expect: {train: null, test: null}}}
  cifar10: {build: {expect: {train: null, test: null}}}
  cifar100: {build: {expect: {train: null, test: null}}}
  cifar10_lt: {build: {expect: {train: null, test: null}}}
  cifar100_lt: {build: {imbalance: 2, expect: {train: null, test: null}}}
  stl10: {build: {expect: {train: null, unlabelled: null, test: null}}}
  imagenet: {build: {expect: {train: null, test: null}}}
  imagenet100: {build: {missing_synsets: skip, expect: {train: null, test: null}}}
  imagenet_lt: {build: {expect: {train: null, val: null, test: null}}}
"""

TABLE = """
title: Table T
caption: Two group numbers.
dataset: kitchen_hc
method: npid
protocol: knn
metric: top1
row_header: group
rows:
  - {key: "4", set: {cld.n_groups: 4}}
  - {key: "8", set: {cld.n_groups: 8}}
columns:
  - {key: kmeans, set: {cld.clustering: kmeans}}
published:
  "4": {kmeans: 50.0}
references:
  - {key: npid, label: NPID, set: {cld.weight: 0}}
  - {key: chance, label: chance, protocol: chance}
"""


@contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """Replace text that a file has; undone at the end."""
    good = path.read_text()
    assert old in good
    path.write_text(good.replace(old, new))
    try:
        yield
    finally:
        path.write_text(good)


@contextmanager
def edited_yaml(path: Path) -> Iterator[dict]:
    """A YAML file's content; what is changed in it is written back, and stays."""
    content = json.loads(json.dumps(yaml.safe_load(path.read_text())))  # no part is shared by two keys
    yield content
    path.write_text(yaml.safe_dump(content, sort_keys=False))


class Checkout:
    """A copy of the project's sources, with its own results."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("cld", "data_prep", "workflow", "config", "slurm", "environment.yml"):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)
        for table in (folder / "config/tables").iterdir():
            if table.name != "table_folder.yaml":
                table.unlink()
        self.config = folder / "config/config.yaml"
        self.preset = folder / "config/presets/tiny.yaml"
        self.table = folder / "config/tables/table_a1.yaml"
        self.preset.write_text(TINY)
        self.table.write_text(TABLE)
        self.config.write_text(self.config.read_text().replace("preset: demo", "preset: tiny"))

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run snakemake in the checkout; output and errors together in ``stdout``."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        return subprocess.run(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def make(self, *arguments: str) -> str:
        """Run snakemake, which must succeed."""
        done = self.snakemake(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def cld(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run a ``cld`` command in the checkout."""
        command = [sys.executable, "-m", "cld", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True)

    def planned(self, *arguments: str) -> dict[str, int]:
        """How many jobs of each rule a run would start."""
        output = self.make("--dry-run", *arguments)
        _, _, stats = output.partition("Job stats:")
        return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", stats, re.M) if rule != "total"}
