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


#: A projection head by the names of its layers: one linear layer; two with ReLU between them; or three, of
#: which the middle one is batch normalisation, before the ReLU.
Head = tuple[str, ...]
#: Heads of two layers without ReLU between them, which none of ours is.
WITHOUT_RELU = (("pre_fc.0", "linear"),)


@dataclass(frozen=True)
class Layout:
    """One publisher's way of naming.

    Attributes:
        networks: prefixes under which it keeps a backbone, each with the heads to look for, in order.
        marks: beginnings of names that distinguish it from layouts with the same prefix.
        entries: the same, for what lies beside the weights in the file.
        note: what the names cannot say and a reader of scores should know.
    """

    networks: dict[str, tuple[Head, ...]]
    marks: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    note: str = ""


_MOCO_HEADS = (("encoder_q.fc.0", "encoder_q.fc.2"), ("encoder_q.fc",))
_PROJECTOR = (
    ("projector.0", "projector.2"),
    ("projector.0", "projector.1", "projector.3"),
    ("projector",),
)

#: Layouts by name. Where several fit, the first with a mark in the file is taken, then the first.
LAYOUTS = {
    # the published CLD and NPID code: CIFAR networks, MoCo + CLD
    "npid_cld": Layout(
        networks={
            "encoder_q.": (("encoder_q.fc.0", "encoder_q.instDis"), *_MOCO_HEADS),
            "": (("pre_fc.0", "linear"), ("linear",)),
        },
        marks=("encoder_q.groupDis", "encoder_q.instDis", "groupDis", "linear"),
        entries=("lemniscate",),
    ),
    # MoCo, MoCo v2
    "moco": Layout(
        networks={"encoder_q.": _MOCO_HEADS},
        marks=("encoder_q.fc", "encoder_q.conv1"),
    ),
    # PyContrast: InfoMin and others; InfoMin + CLD
    "pycontrast": Layout(
        networks={"encoder.": (("head.0", "proj1.0"), ("head.0", "head.2"), ("proj1.0",), ("head.0",))},
        marks=("head", "proj1", "head_jig"),
        entries=("contrast", "model_ema"),
    ),
    # OpenSelfSup, MMSelfSup; their released backbones
    "openselfsup": Layout(
        networks={
            "encoder_q.0.": (("encoder_q.1.mlp.0", "encoder_q.1.mlp.2"), ("encoder_q.1.fc",)),
            "online_net.0.": (("online_net.1.mlp.0", "online_net.1.mlp.1", "online_net.1.mlp.3"),),
            "backbone.": (("neck.mlp.0", "neck.mlp.2"), ("neck.fc",)),
            "": (),
        },
        marks=("neck", "encoder_q.0", "online_net"),
        entries=("meta", "author"),
        note="networks of style 'caffe' take strides in other layers, which names cannot tell",
    ),
    "lightly": Layout(
        networks={
            "backbone.": (
                ("projection_head.layers.0", "projection_head.layers.2"),
                ("projection_head.layers.0",),
            )
        },
        marks=("projection_head", "prediction_head", "backbone_momentum", "backbone.0"),
    ),
    "solo_learn": Layout(
        networks={"backbone.": _PROJECTOR, "encoder.": _PROJECTOR},
        marks=("projector", "classifier", "momentum_backbone", "momentum_encoder"),
        note="solo-learn pads the 3x3 stem of its CIFAR networks by 2, ours pads by 1",
    ),
    # torchvision, timm: a plain state dict
    "torchvision": Layout(networks={"": (("fc",),)}, marks=("conv1",)),
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
