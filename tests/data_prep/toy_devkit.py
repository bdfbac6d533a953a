"""A small Pascal VOC devkit, written as the publisher lays it out."""

from pathlib import Path

import numpy as np
from PIL import Image

PARTS = (
    "\t\t<part>\n\t\t\t<name>head</name>\n\t\t\t<bndbox>\n\t\t\t\t<xmin>3</xmin>\n\t\t\t\t<ymin>2</ymin>\n"
    "\t\t\t\t<xmax>7</xmax>\n\t\t\t\t<ymax>9</ymax>\n\t\t\t</bndbox>\n\t\t</part>\n"
)


def thing(name, xmin, ymin, xmax, ymax, difficult=0, truncated=0, parts="") -> str:
    """One object as the annotations have it: 1-based, inclusive."""
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (xmin, ymin, xmax, ymax), strict=True)
    box = "".join(f"\t\t\t<{corner}>{value}</{corner}>\n" for corner, value in corners)
    return (
        f"\t<object>\n\t\t<name>{name}</name>\n\t\t<pose>Left</pose>\n\t\t<truncated>{truncated}</truncated>\n"
        f"\t\t<difficult>{difficult}</difficult>\n\t\t<bndbox>\n{box}\t\t</bndbox>\n{parts}\t</object>\n"
    )


def annotation(year: int, image: str, size: tuple[int, int], objects: str) -> str:
    """A whole annotation."""
    return (
        f"<annotation>\n\t<folder>VOC{year}</folder>\n\t<filename>{image}.jpg</filename>\n"
        "\t<source>\n\t\t<database>The VOC Database</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{size[0]}</width>\n\t\t<height>{size[1]}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        f"\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )


def write_image(folder: Path, image: str, size: tuple[int, int], objects: str, **save: object) -> None:
    """An image of noise of the year's folder, and its annotation."""
    seed = sum(map(ord, image))
    pixels = np.random.default_rng(seed).integers(
        0, 256, (size[1] // 4 + 1, size[0] // 4 + 1, 3), dtype=np.uint8
    )
    path = folder / "JPEGImages" / f"{image}.jpg"
    Image.fromarray(pixels).resize(size).save(path, quality=90, **save)
    xml = annotation(int(folder.name[3:]), image, size, objects)
    (folder / "Annotations" / f"{image}.xml").write_text(xml)


def write_devkit(root: Path) -> None:
    """VOC2007 with six trainval and three test images, VOC2012 with two trainval images."""
    sets = {
        2007: {
            "trainval": {
                "000005": ((50, 37), thing("chair", 11, 8, 20, 30) + thing("chair", 1, 1, 4, 4, difficult=1)),
                "000007": ((50, 33), thing("car", 15, 6, 50, 33, truncated=1)),
                "000009": ((37, 50), thing("horse", 7, 17, 27, 47) + thing("person", 10, 5, 20, 30)),
                "000012": ((50, 33), thing("car", 16, 10, 35, 27)),
                "000016": ((33, 50), thing("bicycle", 9, 11, 30, 46)),
                "000017": ((48, 36), thing("person", 20, 7, 25, 12) + thing("horse", 9, 8, 40, 32)),
            },
            "test": {
                "000001": (
                    (35, 50),
                    thing("dog", 5, 24, 19, 37) + thing("person", 1, 2, 35, 50, truncated=1),
                ),
                "000002": ((33, 50), thing("train", 14, 20, 20, 27)),
                "000003": ((50, 37), thing("sofa", 13, 15, 22, 31, difficult=1)),
            },
        },
        2012: {
            "trainval": {
                "2008_000002": ((50, 37), thing("tvmonitor", 4, 1, 45, 36)),
                "2011_003276": (
                    (50, 33),
                    thing("person", "10.5", "3.25", "21.700000762939453", 30, parts=PARTS),
                ),
            }
        },
    }
    for year, by_name in sets.items():
        folder = root / "VOCdevkit" / f"VOC{year}"
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (folder / name).mkdir(parents=True)
        for name, images in by_name.items():
            (folder / f"ImageSets/Main/{name}.txt").write_text("".join(f"{image}\n" for image in images))
            for image, (size, objects) in images.items():
                write_image(folder, image, size, objects)
        (folder / "ImageSets/Main/car_trainval.txt").write_text("000005 -1\n000007  1\n")
