"""Settings of the Kitchen-HC builders, for scenes and for a ready-made ImageFolder."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cld.runtime.errors import InputError
from data_prep.kitchen.gmu.layout import DETECTION_TEST_SCENES, INSTANCES, SCENES

FITS = ("stretch", "square")


@dataclass(frozen=True)
class KitchenSettings:
    """What becomes an instance, how it is cut out, and which split it joins.

    The defaults drop only boxes that are tiny or mostly outside their frame: the supplement (section 1)
    mentions no filter. Settings marked *scenes* have no effect on an ImageFolder, whose images are crops
    already. Lists are accepted for tuples.

    Attributes:
        image_size: side of the square crops, pixels. 32: the supplement's input (section 2, item 2).
        fit: how a box becomes square, *scenes*. ``"stretch"``: the box itself, its proportions lost, as
            an ImageFolder of boxes would be resized; ``"square"``: the smallest square around it, with
            what surrounds the object. Stretch: the supplement extracts objects "in their bounding
            boxes".
        context: margin on each side of the box, as a share of its side, *scenes*. 0: as above.
        classes: names to keep, in the order of the labels. The 11 annotated instances.
        aliases: further spellings, each with its class; they add to ``layout.ALIASES``.
        ignore: names to drop without counting them as unknown.
        max_unknown_share: share (0..1) of boxes or images whose name is neither kept, an instance nor
            ignored, above which the build fails. 0.05: a few extra objects are expected, a misspelt
            class is not.
        scenes: scene numbers to read, *scenes*. All nine.
        test_scenes: scenes of the test split, *scenes*. Fold 1 of the detection literature: 3 of 9
            scenes, near the supplement's 14.4K of 39.2K.
        val_share: share (0..1) of the training frames (ImageFolder: images of a class) that validate; 0
            for no validation split. 0.16: the supplement's 4K of 24.8K.
        val_blocks: contiguous blocks, per scene (ImageFolder: class), that make up ``val_share``.
            Blocks, since neighbouring frames are near-duplicates; 2, to see more than one stretch of the
            camera's path.
        min_side_px: smallest side of a box inside its frame, pixels. 8: below, a crop is interpolation.
        min_inside: smallest share (0..1) of a box's area inside its frame, *scenes*. 0.5: below, the
            crop shows mostly the frame's border.
        drop_difficult: drop boxes marked difficult, *scenes*.
        drop_truncated: drop boxes marked truncated, *scenes*.
        geometry: read depth, poses and objects, *scenes*. Without it distance, visibility and IoU stay
            unknown, and a frame needs neither depth nor pose.
        min_visible: smallest visible fraction (0..1), *scenes*. 0: keep all.
        min_iou: smallest IoU (0..1) of the box with the projected object's, *scenes*. 0: keep all.
        visible_tolerance_m: how far sensor depth may be from a visible point's, metres, *scenes*. 0.05
            is an assumption: above the sensor's noise at a counter's distance, below the gap to most
            occluders.
        object_points: points of an object's surface that visibility is measured on, *scenes*. 1000: a
            standard error below 0.016.
        max_bad_share: share (0..1) of annotated frames (ImageFolder: images) with a problem, above which
            the build fails. 0.02.
    """

    image_size: int = 32
    fit: str = "stretch"
    context: float = 0.0
    classes: tuple[str, ...] = INSTANCES
    aliases: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    max_unknown_share: float = 0.05
    scenes: tuple[int, ...] = SCENES
    test_scenes: tuple[int, ...] = DETECTION_TEST_SCENES
    val_share: float = 0.16
    val_blocks: int = 2
    min_side_px: float = 8.0
    min_inside: float = 0.5
    drop_difficult: bool = False
    drop_truncated: bool = False
    geometry: bool = True
    min_visible: float = 0.0
    min_iou: float = 0.0
    visible_tolerance_m: float = 0.05
    object_points: int = 1000
    max_bad_share: float = 0.02

    def __post_init__(self) -> None:
        for name in ("classes", "ignore", "scenes", "test_scenes"):
            value = getattr(self, name)
            _check(isinstance(value, list | tuple), name, value, "be a list")
            _check(len(set(value)) == len(value), name, value, "name nothing twice")
            object.__setattr__(self, name, tuple(value))
        for name in ("max_unknown_share", "min_inside", "min_visible", "min_iou", "max_bad_share"):
            self._check_number(name, 0, 1)
        self._check_number("context", 0, 2)
        self._check_number("min_side_px", 1)
        self._check_number("val_share", 0, 0.9)
        self._check_number("visible_tolerance_m", 1e-6)
        for name, low in (("image_size", 1), ("val_blocks", 1), ("object_points", 4)):
            _check(isinstance(getattr(self, name), int), name, getattr(self, name), "be a whole number")
            self._check_number(name, low)
        for name in ("drop_difficult", "drop_truncated", "geometry"):
            _check(isinstance(getattr(self, name), bool), name, getattr(self, name), "be true or false")
        _check(self.fit in FITS, "fit", self.fit, f"be one of {', '.join(FITS)}")
        _check(bool(self.classes), "classes", self.classes, "name at least one class")
        _check(isinstance(self.aliases, Mapping), "aliases", self.aliases, "map spellings to classes")
        for name in (*self.classes, *self.ignore, *self.aliases, *self.aliases.values()):
            _check(isinstance(name, str) and bool(name), "classes, ignore and aliases", name, "hold names")
        unknown = set(self.scenes) - set(SCENES)
        _check(not unknown, "scenes", sorted(unknown, key=str), f"be among {list(SCENES)}")
        unknown = set(self.test_scenes) - set(self.scenes)
        _check(not unknown, "test_scenes", sorted(unknown, key=str), f"be among 'scenes' {list(self.scenes)}")
        for split, scenes in (
            ("test", self.test_scenes),
            ("train", set(self.scenes) - set(self.test_scenes)),
        ):
            _check(bool(scenes), "test_scenes", self.test_scenes, f"leave scenes to {split} on")
        if not self.geometry:
            for name in ("min_visible", "min_iou"):
                _check(getattr(self, name) == 0, name, getattr(self, name), "be 0 where 'geometry' is false")

    def _check_number(self, name: str, low: float, high: float = float("inf")) -> None:
        value = getattr(self, name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        limits = f"{low} or more" if high == float("inf") else f"{low} to {high}"
        _check(is_number and low <= value <= high, name, value, f"be {limits}")


def _check(good: bool, name: str, value: object, rule: str) -> None:
    if not good:
        raise InputError(f"build settings: {name} is {value!r}; it must {rule}")
