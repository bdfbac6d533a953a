"""How others name the tensors of their checkpoints: key layouts as data.

Names are written without wrappers (see :mod:`cld.checkpoints.weights_file`) and up to where the network's own
names begin: of ``module.encoder_q.layer1.0.conv1.weight`` the network's prefix is ``encoder_q.``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

#: What a training module may put before a layout's own prefixes.
LEADS = ("", "model.", "net.", "network.")
#: Other names for parts of a residual block.
ALIASES = {"shortcut": "downsample"}
#: Words of a name that say which of two copies is trained by gradient, and which follows it.
ONLINE_WORDS = frozenset({"q", "query", "online", "student"})
MOMENTUM_WORDS = frozenset({"k", "key", "momentum", "teacher", "target", "ema"})
#: Outputs of a last layer called ``fc`` or ``linear`` that make it a classifier, not a projection.
CLASSIFIER_NAMES = frozenset({"fc", "linear"})
CLASSIFIER_OUTPUTS = frozenset({10, 100, 1000})
MAX_PROJECTION = 512


@dataclass(frozen=True)
class Head:
    """A projection head: one linear layer, or two with ReLU between them, by the names of its layers.

    Attributes:
        layers: names of the linear layers, relative to the lead, in order.
        norm: name of the batch normalisation between them, if it has one.
        unlike_ours: what such a head has that ours cannot have; empty: ours can hold it.
    """

    layers: tuple[str, ...]
    norm: str = ""
    unlike_ours: str = ""


@dataclass(frozen=True)
class Layout:
    """One publisher's way of naming.

    Attributes:
        title: what it is.
        networks: prefixes under which it keeps a backbone, each with the heads to look for, in order.
        marks: beginnings of names that tell it from layouts with the same prefix.
        entries: the same, for what lies beside the weights in the file.
        note: what the names cannot say and a reader of scores should know.
    """

    title: str
    networks: dict[str, tuple[Head, ...]]
    marks: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    note: str = ""


_MOCO_HEADS = (Head(("encoder_q.fc.0", "encoder_q.fc.2")), Head(("encoder_q.fc",)))
_PROJECTOR = (
    Head(("projector.0", "projector.2")),
    Head(("projector.0", "projector.3"), norm="projector.1"),
    Head(("projector",)),
)

#: Layouts by name. Where several fit, the first with a mark in the file is taken, then the first.
LAYOUTS = {
    "npid_cld": Layout(
        title="the published CLD and NPID code (CIFAR networks, MoCo + CLD)",
        networks={
            "encoder_q.": (Head(("encoder_q.fc.0", "encoder_q.instDis")), *_MOCO_HEADS),
            "": (
                Head(("pre_fc.0", "linear"), unlike_ours="two layers without ReLU between them"),
                Head(("linear",)),
            ),
        },
        marks=("encoder_q.groupDis", "encoder_q.instDis", "groupDis", "linear"),
        entries=("lemniscate",),
    ),
    "moco": Layout(
        title="MoCo, MoCo v2",
        networks={"encoder_q.": _MOCO_HEADS},
        marks=("encoder_q.fc", "encoder_q.conv1"),
    ),
    "pycontrast": Layout(
        title="PyContrast: InfoMin and others; InfoMin + CLD",
        networks={
            "encoder.": (
                Head(("head.0", "proj1.0")),
                Head(("head.0", "head.2")),
                Head(("proj1.0",)),
                Head(("head.0",)),
            )
        },
        marks=("head", "proj1", "head_jig"),
        entries=("contrast", "model_ema"),
    ),
    "openselfsup": Layout(
        title="OpenSelfSup, MMSelfSup; their released backbones",
        networks={
            "encoder_q.0.": (
                Head(("encoder_q.1.mlp.0", "encoder_q.1.mlp.2")),
                Head(("encoder_q.1.fc",)),
            ),
            "online_net.0.": (Head(("online_net.1.mlp.0", "online_net.1.mlp.3"), norm="online_net.1.mlp.1"),),
            "backbone.": (Head(("neck.mlp.0", "neck.mlp.2")), Head(("neck.fc",))),
            "": (),
        },
        marks=("neck", "encoder_q.0", "online_net"),
        entries=("meta", "author"),
        note="networks of style 'caffe' take strides in other layers, which names cannot tell",
    ),
    "lightly": Layout(
        title="lightly",
        networks={
            "backbone.": (
                Head(("projection_head.layers.0", "projection_head.layers.2")),
                Head(("projection_head.layers.0",)),
            )
        },
        marks=("projection_head", "prediction_head", "backbone_momentum", "backbone.0"),
    ),
    "solo_learn": Layout(
        title="solo-learn",
        networks={"backbone.": _PROJECTOR, "encoder.": _PROJECTOR},
        marks=("projector", "classifier", "momentum_backbone", "momentum_encoder"),
        note="solo-learn pads the 3x3 stem of its CIFAR networks by 2, ours pads by 1",
    ),
    "torchvision": Layout(
        title="torchvision, timm: a plain state dict",
        networks={"": (Head(("fc",)),)},
        marks=("conv1",),
    ),
}


def places_by_layout(prefix: str) -> dict[str, tuple[str, str]]:
    """The layouts that keep a backbone under ``prefix``: by name, its own prefix and the lead before it."""
    found = {}
    for name, layout in LAYOUTS.items():
        for own in layout.networks:
            lead = prefix.removesuffix(own)
            if prefix == lead + own and lead in LEADS:
                found.setdefault(name, (own, lead))
    return found


def find_layout(prefix: str, names: Iterable[str], entries: Iterable[str], asked: str) -> str | None:
    """The layout asked for, else the first that keeps a backbone under ``prefix`` and has a mark in the file.

    Args:
        names: of the tensors, without wrappers.
        entries: of the file.
        asked: a layout's name, or ``auto``.

    Returns:
        None where none keeps a backbone there.
    """
    places = places_by_layout(prefix)
    if asked != "auto":
        return asked if asked in places else None
    names = [f"{name}." for name in names]
    for layout, (_, lead) in places.items():
        marks = tuple(f"{lead}{mark}." for mark in LAYOUTS[layout].marks)
        if set(LAYOUTS[layout].entries) & set(entries) or any(name.startswith(marks) for name in names):
            return layout
    return next(iter(places), None)
