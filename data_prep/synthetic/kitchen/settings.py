"""Settings of the demo's renderer."""

from dataclasses import dataclass

from data_prep.common.settings import require_whole
from data_prep.kitchen.gmu.layout import INSTANCES, SCENES
from data_prep.synthetic.kitchen.clutter import CLUTTER


@dataclass(frozen=True)
class RenderSettings:
    """What is rendered. The defaults give about 2,500 labelled instances.

    Attributes:
        n_scenes: kitchens, at most the published nine.
        frames_per_scene: frames along each kitchen's camera path.
        empty_per_scene: of these, how many at the path's end show no product.
        unannotated_per_scene: of the others, how many have no annotation file.
        width: of the frames, pixels.
        height: of the frames, pixels.
        products_per_scene: how many of the 11 products stand in a kitchen; which, goes round.
        clutter_per_scene: how many other things stand between them, each of another kind.
        seed: all that is random follows from it.
    """

    n_scenes: int = 9
    frames_per_scene: int = 36
    empty_per_scene: int = 1
    unannotated_per_scene: int = 2
    width: int = 480
    height: int = 270
    products_per_scene: int = 10
    clutter_per_scene: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = {  # in this order: the later ones depend on the earlier
            "n_scenes": (1, len(SCENES)),
            "frames_per_scene": (1, 1000),
            "empty_per_scene": (0, self.frames_per_scene),
            "unannotated_per_scene": (0, self.frames_per_scene - self.empty_per_scene),
            "width": (32, 1920),
            "height": (32, 1080),
            "products_per_scene": (1, len(INSTANCES)),
            "clutter_per_scene": (0, len(CLUTTER)),
            "seed": (0, 2**32 - 1),
        }
        require_whole("render settings", self, **ranges)
