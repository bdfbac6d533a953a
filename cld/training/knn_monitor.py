"""kNN accuracy of a run while it trains, every few epochs. It changes nothing of the run."""

from collections.abc import Mapping
from pathlib import Path

import torch

from cld.data import read_info, read_labels
from cld.data.features import extract_features
from cld.knn_vote import knn_classify
from cld.methods.base import Method
from cld.runtime.errors import InputError


class KNNMonitor:
    """kNN accuracy of a run's features on its own store.

    Args:
        config: of the run; its section ``watch`` says how often, and of how many neighbours.
        store: HDF5 file with a labelled split train, and val or test.

    Raises:
        InputError: the store has no such splits, or fewer neighbours than ``k``.
    """

    def __init__(self, config: Mapping, store: str | Path):
        self.config, self.store, self.info = config, store, read_info(store)
        # held-out training images where there are some
        queries = next((name for name in ("val", "test") if self.info.sizes.get(name)), None)
        n, k = self.info.sizes.get("train", 0), config["watch"]["k"]
        if not n or queries is None:
            raise InputError(f"{store}: no train and val or test split to look at; set watch.knn_every=0")
        if k > n:
            raise InputError(f"watch.k {k}: there are {n} training images; lower it")
        self.splits = ("train", queries)

    def __call__(self, method: Method, epoch: int) -> dict[str, float]:
        """``knn_top1`` in percent after an epoch, counted from 1; nothing where none is due."""
        if epoch % self.config["watch"]["knn_every"]:
            return {}
        device, view = next(method.parameters()).device, (self.config["image_size"], self.config["workers"])
        bank, queries = (
            extract_features(method.encoder, self.store, split, self.info, device, *view)
            for split in self.splits
        )
        method.train()
        of_bank, of_queries = (read_labels(self.store, split) for split in self.splits)
        k, temperature = self.config["watch"]["k"], self.config["temperature"]
        n_classes = len(self.info.classes)
        ranked = knn_classify(bank, torch.from_numpy(of_bank), queries, n_classes, k, temperature)
        return {"knn_top1": 100 * float((ranked[:, 0].cpu().numpy() == of_queries).mean())}
