"""One trial: a backbone with a linear head, all of it fine-tuned at one base rate and head multiplier."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from cld.data import StoreInfo
from cld.data.epoch_sampler import rank_slice
from cld.data.labels import complete_labels
from cld.data.store_checksums import file_sha256
from cld.evaluation.accuracy import by_logits, top_accuracy
from cld.evaluation.classifier.training import linear_head, train_classifier
from cld.evaluation.protocol_names import partial_path
from cld.evaluation.scored_run import load_scored_run
from cld.evaluation.semisup.subset import read_subset
from cld.models.backbones import build_backbone
from cld.models.sync_batchnorm import convert_sync_batchnorm
from cld.runtime.distributed import (
    all_gather_objects,
    data_parallel,
    rank,
    require_at_most,
)
from cld.runtime.errors import InputError
from cld.runtime.files import remove_leftovers, write_json
from cld.training.checkpoint import load_checkpoint, save_checkpoint, trained_by
from cld.training.resumable import Resumable
from cld.training.run_id import run_id


def weights_path(report: str | Path) -> Path:
    """Where the fine-tuned network lies, beside a trial's report."""
    return Path(report).with_suffix(".pt")


def run_trial(
    checkpoint: str | Path,
    store: str | Path,
    subset_path: str | Path,
    settings: Mapping,
    lr: float,
    head_multiplier: float,
    out: str | Path,
    device_name: str | None = None,
) -> dict:
    """Fine-tune a run on a subset; writes the network beside ``out``, then the report to it.

    The head's first weights, the order of the images and their views follow from the run's seed. A batch is
    normalised as a whole, also where processes that torchrun has started share it: each calls this, and the
    first one writes. Until it is done, the state that a stopped trial resumes from is beside ``out``.

    Returns:
        The report, see ``cld/schemas/trial.schema.yaml``.
    """
    labels, subset = complete_labels(store, "train"), read_subset(subset_path, store)
    require_at_most(len(subset["held_out"]), "held-out images")
    run = load_scored_run(store, checkpoint, device_name)
    backbone, seed = run.encoder.backbone, run.config["seed"]
    head = linear_head(backbone.out_features, len(run.info.classes), seed).to(run.device)
    network = convert_sync_batchnorm(nn.Sequential(backbone, head), run.device)
    optimiser = torch.optim.SGD(
        [{"params": backbone.parameters()}, {"params": head.parameters(), "lr": lr * head_multiplier}],
        lr,
        settings["momentum"],
        weight_decay=settings["weight_decay"],
    )
    point = {"lr": lr, "head_multiplier": head_multiplier}
    subject = {**run.subject(settings), "subset": file_sha256(subset_path), **point}
    resumable = Resumable(partial_path(out), subject, run.config["checkpoint_every_s"])
    title, parallel = f"lr {lr:g}, head x{head_multiplier:g}", data_parallel(network.train())
    training_loss = train_classifier(
        run, np.array(subset["train"]), labels, parallel, network, optimiser, settings, title, resumable
    )
    own = subset["held_out"][rank_slice(len(subset["held_out"]))]
    logits = torch.cat(all_gather_objects(run.features(network, "train", own).cpu()))
    held_out_labels = labels[subset["held_out"]]
    loss = F.cross_entropy(logits, torch.from_numpy(held_out_labels)).item()
    diverged = not (math.isfinite(training_loss) and math.isfinite(loss))
    facts = {name: value for name, value in subset.items() if name != "format"}
    facts |= {"train": len(subset["train"]), "held_out": len(subset["held_out"])}
    trial = {
        "run": run_id(run.config),
        "seed": seed,
        "settings": dict(settings),
        "subset": facts,
        "trained_by": trained_by(checkpoint),
        **point,
        "diverged": diverged,
        "training_loss": None if diverged else training_loss,
        "held_out": None if diverged else {**top_accuracy(by_logits(logits), held_out_labels), "loss": loss},
    }
    if rank() == 0:
        content = {"config": run.config, "trial": trial, "network": network.state_dict()}
        save_checkpoint(weights_path(out), content)
        write_json(out, trial)
    resumable.remove()
    remove_leftovers(out)
    return trial


def load_network(report_path: str | Path, trial: dict, info: StoreInfo) -> tuple[nn.Module, dict]:
    """The network that a trial fine-tuned, in evaluation mode, and the run's configuration.

    Raises:
        InputError: it is missing, damaged, or another trial's.
    """
    path = weights_path(report_path)
    content = load_checkpoint(path)
    if content.get("trial") != trial:
        raise InputError(f"{path}: is not the network of {report_path}; run the trial again")
    backbone = build_backbone(content["config"]["backbone"])
    network = nn.Sequential(backbone, nn.Linear(backbone.out_features, len(info.classes)))
    network.load_state_dict(content["network"])
    return network.eval(), content["config"]
