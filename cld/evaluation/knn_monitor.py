"""An eye on a run while it learns: kNN accuracy every few epochs. It changes nothing of the run."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from cld.data import StoreInfo, read_labels
from cld.data.features import extract_features
from cld.nearest_neighbours import knn_classify, top_accuracy
from cld.runtime.errors import InputError

#: Splits of a store that queries come from: held-out training images where there are some.
QUERIES = ("val", "test")


class KNNMonitor:
    """kNN accuracy of a run's features on its own store.

    Args:
        settings: the section ``watch`` of a run's configuration.
        store: HDF5 file with a labelled split train, and val or test.
        info: what the store says of itself.
        config: the run's resolved configuration.

    Raises:
        InputError: it is to look, and the store has no such splits or fewer neighbours than ``k``.
    """

    def __init__(
        self, settings: Mapping, store: str | Path, info: StoreInfo, config: Mapping, device: torch.device
    ):
        self.settings, self.store, self.info, self.config = settings, store, info, config
        self.device = device
        self.queries = next((name for name in QUERIES if info.sizes.get(name)), None)
        if settings["knn_every"]:
            n = info.sizes.get("train", 0)
            if not n or self.queries is None:
                raise InputError(f"{store}: no train and val or test split to look at; set watch.knn_every=0")
            if settings["k"] > n:
                raise InputError(f"watch.k {settings['k']}: there are {n} training images; lower it")

    def look(self, method: nn.Module, epoch: int) -> dict[str, float]:
        """The accuracy after this epoch in percent, ``knn_top1``, where it is asked for."""
        every = self.settings["knn_every"]
        if not every or epoch % every:
            return {}
        encoder = method.encoder
        splits = ("train", self.queries)
        features = [
            extract_features(
                encoder,
                self.store,
                split,
                self.info,
                self.device,
                self.config["image_size"],
                self.config["workers"],
            )
            for split in splits
        ]
        method.train()
        labels = [torch.from_numpy(read_labels(self.store, split)).to(self.device) for split in splits]
        ranked = knn_classify(
            features[0],
            labels[0],
            features[1],
            len(self.info.classes),
            self.settings["k"],
            self.config["temperature"],
        )
        return {"knn_top1": top_accuracy(ranked, labels[1])["top1"]}
