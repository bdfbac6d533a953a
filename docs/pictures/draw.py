"""Draw the equations and the groups of docs/how_cld_works.md: python docs/pictures/draw.py [RESULTS/demo]."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from cld.augment.views import Augment
from cld.data import read_info, read_split
from cld.methods import build_method
from cld.training.checkpoint import load_checkpoint

HERE = Path(__file__).parent
EQUATIONS = {
    "kmeans": r"$\min_{y,\,C}\ \sum_{i=1}^{N}\,\left[1 - \cos\left(f_i,\ C_{y_i}\right)\right]$",
    "spectral": r"$W_{ij} = |\cos(f_i, f_j)|,\quad W_{ii} = 0,"
    r"\qquad \mathrm{eigenvectors\ of\ the}\ K\ \mathrm{largest\ eigenvalues\ of}\ \ D^{-1/2}\,W\,D^{-1/2}$",
    "group": r"$\ell(f,\,y,\,C) = -\frac{1}{N}\,\sum_{i=1}^{N}\,\log\,"
    r"\dfrac{\exp(f_i \cdot C_{y_i}\,/\,T_G)}{\sum_{k=1}^{K} \exp(f_i \cdot C_k\,/\,T_G)}$",
    "cross": r"$L_{CLD} = \frac{1}{2}\,\left[\,\ell(f^1,\,y^2,\,C^2) + \ell(f^2,\,y^1,\,C^1)\,\right]$",
    "total": r"$L = L_{instance} + \lambda\,L_{CLD}$",
}
N_IMAGES, SHOWN_GROUPS, SHOWN = 128, 6, 14


def draw_equations() -> None:
    """Each as an SVG with a white ground, which is legible in dark pages too."""
    plt.rcParams |= {"mathtext.fontset": "cm", "svg.hashsalt": "cld", "svg.fonttype": "path"}
    for name, equation in EQUATIONS.items():
        figure = plt.figure()
        figure.text(0, 0, equation, fontsize=16)
        path = HERE / f"equation_{name}.svg"
        figure.savefig(path, bbox_inches="tight", pad_inches=0.08, metadata={"Date": None})
        plt.close(figure)


def draw_groups(results: Path) -> None:
    """The groups of k-means in one batch of the kitchens, found in the group features of one random view."""
    (run,) = results.glob("runs/kitchen_hc-npid-cld-kmeans10-s0-*")
    store = results / "stores/kitchen_hc.h5"
    checkpoint, info, train = (
        load_checkpoint(run / "checkpoint.pt"),
        read_info(store),
        read_split(store, "train"),
    )
    config = checkpoint["config"]
    method = build_method(config, len(train))
    method.load_state_dict(checkpoint["method"])
    generator = torch.Generator().manual_seed(0)
    batch = torch.randperm(len(train), generator=generator)[:N_IMAGES].numpy()
    images = torch.from_numpy(train.images[batch])
    with torch.no_grad():
        view = Augment(config["augment"], config["image_size"], info.mean, info.std)(images, generator)
        features = method.eval().group_features([method.encoder.encode(view)])  # 1, B, d
        groups = method.cluster(features)[0][0]  # B
    figure, axes = plt.subplots(SHOWN_GROUPS, 1, figsize=(7, 0.62 * SHOWN_GROUPS), layout="constrained")
    largest = groups.bincount().argsort(descending=True)
    for axis, group in zip(axes, largest[:SHOWN_GROUPS], strict=True):
        members = (groups == group).nonzero()[:, 0].numpy()
        axis.imshow(np.concatenate([*train.images[batch[members[:SHOWN]]]], axis=1))
        most = np.bincount(train.labels[batch[members]]).max()
        axis.set_ylabel(
            f"{len(members)} images,\n{most} of one class", rotation=0, ha="right", va="center", fontsize=8
        )
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        axis.set_xlim(-0.5, SHOWN * train.images.shape[2] - 0.5)
    figure.savefig(HERE / "groups_in_a_batch.png", dpi=100)


if __name__ == "__main__":
    draw_equations()
    draw_groups(Path(sys.argv[1] if len(sys.argv) > 1 else "results/demo"))
