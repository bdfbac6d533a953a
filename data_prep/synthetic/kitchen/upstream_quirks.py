"""Habits of the published files that differ between scenes: the demo exercises a reader as they do."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Quirks:
    """How one scene's files deviate.

    Attributes:
        first_pose_field: whether pose records start with the field that nobody uses.
        filename_with_suffix: whether a VOC ``filename`` carries ``.png``.
        fractional_boxes: whether coordinates are floats.
        spellings: names written otherwise.
        annotated_clutter: how many pieces of clutter are annotated, although none of the 11 instances.
    """

    first_pose_field: bool = True
    filename_with_suffix: bool = False
    fractional_boxes: bool = False
    spellings: Mapping[str, str] = field(default_factory=dict)
    annotated_clutter: int = 0


_QUIRKS = {
    2: Quirks(first_pose_field=False, filename_with_suffix=True),
    3: Quirks(annotated_clutter=2),
    4: Quirks(filename_with_suffix=True),
    5: Quirks(first_pose_field=False, fractional_boxes=True),
    6: Quirks(spellings={"red_bull": "redbull", "palmolive_orange": "palmolive"}),
    7: Quirks(fractional_boxes=True),
    8: Quirks(first_pose_field=False, filename_with_suffix=True),
}


def quirks_of(scene: int) -> Quirks:
    """The quirks of a scene."""
    return _QUIRKS.get(scene, Quirks())
