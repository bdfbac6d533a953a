"""A run and the store that it is scored on: what every protocol that scores a run begins and ends with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cld.data import StoreInfo, read_info
from cld.data.features import extract_features
from cld.data.store_checksums import file_sha256
from cld.data.store_format import view_side
from cld.methods.encoder import Encoder
from cld.models.backbones import require_side
from cld.runtime.device import resolve_device
from cld.training.checkpoint import load_encoder
from cld.training.run_id import run_id


@dataclass(frozen=True)
class ScoredRun:
    """A run's encoder, and a store of images for it.

    Attributes:
        encoder: in evaluation mode, see :func:`cld.training.checkpoint.load_encoder`.
        config: the run's resolved configuration.
        info: the store's description.
    """

    checkpoint: str | Path
    encoder: Encoder
    config: dict
    store: str | Path
    info: StoreInfo
    device: torch.device

    @property
    def side(self) -> int:
        """Side of what the network sees of the store's images, in pixels."""
        return view_side(self.config["image_size"], self.info)

    def features(self, network: nn.Module, split: str, rows: Sequence[int] | None = None) -> Tensor:
        """What ``network`` makes of a split's images, see :func:`cld.data.features.extract_features`."""
        workers = self.config["workers"]
        return extract_features(network, self.store, split, self.info, self.device, self.side, workers, rows)

    def subject(self, settings: Mapping) -> dict:
        """What a training on top of this run depends on: the state of another subject is not resumed."""
        return {
            "run": run_id(self.config),
            "checkpoint": file_sha256(self.checkpoint),
            "data": self.info.checksum,
            "settings": dict(settings),
        }

    def score(self, settings: Mapping, metrics: dict, details: dict) -> dict:
        """A score of this run, see :mod:`cld.evaluation.protocols`."""
        return {
            "run": run_id(self.config),
            "seed": self.config["seed"],
            "metrics": metrics,
            "settings": dict(settings),
            "details": details,
        }


def load_scored_run(store: str | Path, checkpoint: str | Path, device_name: str | None) -> ScoredRun:
    """Load a run's encoder to score it on a store.

    Raises:
        InputError: the device cannot be used, the store or the checkpoint not be read, or the backbone takes
            no images of this size.
    """
    device, info = resolve_device(device_name), read_info(store)
    encoder, config = load_encoder(checkpoint, device)
    run = ScoredRun(checkpoint, encoder, config, store, info, device)
    require_side(config["backbone"], run.side)
    return run
