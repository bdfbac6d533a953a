"""Checkpoints that others trained, scored by the workflow; a run's backbone for others."""

import json

import torch
import torchvision
from checkouts import edited

from cld.config import load_run
from cld.training.run_id import run_id


def test_a_checkpoint_of_others_is_scored_and_a_run_exported(built):
    torch.manual_seed(0)
    network = torchvision.models.resnet18().state_dict()
    weights = {f"module.encoder_q.{name}": value for name, value in network.items() if "fc." not in name}
    torch.save({"state_dict": weights}, built.folder / "their moco.pth.tar")
    entry = "{moco_v2: {file: their moco.pth.tar, dataset: kitchen_hc, set: {temperature: 0.2}}}"
    with edited(built.config, "checkpoints: {}", f"checkpoints: {entry}"):
        built.make("all_imports")
    score = json.loads((built.folder / "results/tiny/scores/imported-moco_v2/knn.json").read_text())
    assert score["settings"]["temperature"] == 0.2 and 0 <= score["metrics"]["top1"] <= 100
    report = json.loads((built.folder / "results/tiny/runs/imported-moco_v2/import.json").read_text())
    assert report["layout"] == "moco"


def test_a_run_is_exported_with_its_card(built):
    (checkpoint, *_) = sorted((built.folder / "results/tiny/runs").glob("kitchen_hc-npid-cld*/checkpoint.pt"))
    run = checkpoint.parent.name
    built.make(f"results/tiny/exports/{run}")
    exported = built.folder / f"results/tiny/exports/{run}"
    assert {path.suffix for path in exported.glob("[!.]*")} == {".pth", ".safetensors", ".md"}
    assert run in (exported / "README.md").read_text()


def test_a_run_that_no_table_asks_for_is_named(built):
    other = run_id(load_run("paper", "cifar10", "npid"))
    failed = built.snakemake(f"results/tiny/exports/{other}")
    assert failed.returncode != 0 and f"no table asks for the run {other}" in failed.stdout
