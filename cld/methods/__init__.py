"""Methods: each turns views of a batch into a loss. A new one is one file and one line here."""

from collections.abc import Mapping
from typing import Any

from cld.methods.base import Method
from cld.methods.byol import BYOL
from cld.methods.cld import AddCLD
from cld.methods.infomin import InfoMin
from cld.methods.moco import MoCo
from cld.methods.npid import NPID

METHODS: dict[str, Any] = {"npid": NPID, "moco": MoCo, "moco_v2": MoCo, "infomin": InfoMin, "byol": BYOL}


def build_method(config: Mapping, n_images: int) -> Method:
    """The method of a run's resolved configuration, with CLD over it where ``cld.weight`` is above 0.

    Weights are fresh, from torch's global generator; the base method's are the same with and without CLD.

    Raises:
        InputError: the method's settings do not fit the ``n_images``, or it needs more views.
    """
    method = METHODS[config["method"]].from_config(config, n_images)
    return AddCLD.from_config(method, config) if config["cld"]["weight"] else method
