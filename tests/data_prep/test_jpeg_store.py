import io
import json
import random
import struct
import zlib
from pathlib import Path

import jpeg_sources
import numpy as np
import pytest
from jpeg_sources import build, encoded, exif, objects, pixels
from PIL import Image, ImageOps

from cld.data import EncodedImages, read_info
from cld.runtime.errors import InputError
from data_prep.common import source_files
from data_prep.common.image_files import EncodedImage
from data_prep.common.image_objects import turned
from data_prep.common.jpeg_store import Encoding, SourceImage


@pytest.fixture
def root(tmp_path):
    return jpeg_sources.write_images(tmp_path / "upstream", 2)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "out" / "toy.h5"


def stored(store, index=-1, split="train"):
    images = EncodedImages(store, split)
    return Image.open(io.BytesIO(images[index % len(images)]))


def difference(a, b):
    return np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int)).mean()


PLAIN = {
    "rgb": encoded(pixels(), quality=75),
    "grey": encoded(pixels().convert("L")),
    "progressive": encoded(pixels(), progressive=True),
    "upright": encoded(pixels(), exif=exif(1)),
    "broken EXIF": encoded(pixels(), exif=b"Exif\0\0nonsense"),
    "one pixel": encoded(pixels(1, 1, 1)),
}


@pytest.mark.parametrize("content", PLAIN.values(), ids=PLAIN)
def test_plain_jpegs_are_kept_byte_for_byte(root, store, content):
    (root / "z.JPEG").write_bytes(content)
    record, info = build(root, store)
    assert EncodedImages(store, "train")[2] == content
    assert info.sizes == {"train": 3}
    assert not record.converted


def colour_16(factor):
    """A PNG of 16-bit colours, which Pillow reads and does not write."""
    values = np.asarray(pixels()).astype(">u2") * np.array(factor, ">u2")
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 60, 40, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


GREY_12 = Image.fromarray((np.asarray(pixels().convert("L")).astype(np.uint16) << 4) + 7)
GREY_16 = Image.fromarray((np.asarray(pixels().convert("L")).astype(np.uint16) << 8) + 7)


# Pillow reads a PGM of 16 bits and does not write it
PGM_16 = b"P5 60 40 65535\n" + (np.asarray(pixels().convert("L")).astype(">u2") * 257).tobytes()
OTHERS = {
    "PNG": (encoded(pixels(), "PNG"), "RGB", ["PNG to JPEG"]),
    "grey PNG": (encoded(pixels().convert("L"), "PNG"), "L", ["PNG to JPEG"]),
    "transparent": (encoded(pixels().convert("RGBA"), "PNG"), "RGB", ["PNG to JPEG", "transparency to RGB"]),
    "palette": (encoded(pixels().quantize(256), "PNG"), "RGB", ["PNG to JPEG", "palette to RGB"]),
    "16-bit TIFF": (encoded(GREY_16, "TIFF"), "L", ["16 bits to 8", "TIFF to JPEG"]),
    "12 bits in 16": (encoded(GREY_12, "PNG"), "L", ["16 bits, of which 12 are used, to 8", "PNG to JPEG"]),
    "16-bit colour": (colour_16(257), "RGB", ["16 bits to 8", "PNG to JPEG"]),
    "16-bit PGM": (PGM_16, "L", ["16 bits to 8", "PPM to JPEG"]),
    "CMYK": (encoded(pixels().convert("CMYK")), "RGB", ["CMYK to RGB"]),
}


@pytest.mark.parametrize(("content", "mode", "conversions"), OTHERS.values(), ids=OTHERS)
def test_other_images_become_jpegs_and_are_counted(root, store, content, mode, conversions):
    (root / "z.JPEG").write_bytes(content)
    record, _ = build(root, store)
    image = stored(store)
    assert (image.format, image.mode, image.size) == ("JPEG", mode, (60, 40))
    assert difference(image.convert("RGB"), pixels().convert(mode).convert("RGB")) < 8
    assert sorted(record.converted) == conversions
    assert json.loads(store.with_suffix(".json").read_text())["converted"] == dict.fromkeys(conversions, 1)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_rotated_images_are_turned_upright_unless_told_not_to(root, store, orientation):
    content = encoded(pixels(), quality=95, exif=exif(orientation))
    (root / "z.JPEG").write_bytes(content)
    record, _ = build(root, store)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert stored(store).size == upright.size
    assert difference(stored(store), upright) < 3
    assert stored(store).getexif().get(0x0112, 1) == 1
    assert record.converted == {"turned upright, as EXIF says": 1}

    record, _ = build(root, store, encoding=Encoding(upright=False))
    assert EncodedImages(store, "train")[2] == content
    assert not record.converted


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_with_the_pixels(orientation):
    dark = np.full((40, 60), 255, np.uint8)
    left, top, right, bottom = 5, 10, 25, 38
    dark[top:bottom, left:right] = 0
    content = encoded(Image.fromarray(dark), "PNG", exif=exif(orientation))
    rows, columns = np.nonzero(np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content)))) == 0)
    expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    boxes = np.array([[left, top, right, bottom]], dtype=float)
    np.testing.assert_array_equal(turned(boxes, 60, 40, orientation), [expected])


def test_boxes_are_scaled_with_images_that_shrink(root, store):
    files = sorted(root.iterdir())
    images = {
        "train": [
            SourceImage("a", -1, files[0], objects=objects([[0, 0, 60, 40], [30, 10, 60, 30]])),
            SourceImage("b", -1, files[1], objects=objects([])),
            SourceImage("c", -1, files[0], objects=objects([])),
            SourceImage("d", -1, files[0], objects=objects([[6, 4, 12, 8]])),
        ]
    }
    build(root, store, images, Encoding(short_side=20))
    found = EncodedImages(store, "train").objects
    assert found.offsets.tolist() == [0, 2, 2, 2, 3]
    np.testing.assert_allclose(found.boxes, [[0, 0, 30, 20], [15, 5, 30, 15], [3, 2, 6, 4]])
    assert found.labels.tolist() == [0, 1, 0]
    assert read_info(store).has_objects


@pytest.mark.parametrize(
    ("size", "mode", "options", "short_side", "expected"),
    [
        ((1203, 802), "RGB", {}, 256, (384, 256)),
        ((802, 1203), "L", {}, 100, (100, 150)),
        ((500, 375), "RGB", {"exif": exif(6)}, 256, (256, 341)),
        ((300, 200), "CMYK", {}, 50, (75, 50)),
        ((60, 40), "RGB", {}, 256, (60, 40)),
    ],
)
def test_images_shrink_to_their_shorter_side_and_never_grow(
    root, store, size, mode, options, short_side, expected
):
    original = pixels(3, *size).convert(mode)
    (root / "z.JPEG").write_bytes(encoded(original, quality=95, **options))
    build(root, store, encoding=Encoding(short_side=short_side, quality=95))
    image = stored(store)
    assert image.size == expected
    assert image.mode == ("L" if mode == "L" else "RGB")
    upright = original.transpose(Image.Transpose.ROTATE_270) if options else original
    assert difference(image.convert("RGB"), upright.convert("RGB").resize(expected)) < 4
    assert read_info(store).config["short_side"] == short_side


WHOLE = encoded(pixels(0, 300, 200), quality=90)
BAD = {
    "cut in the header": WHOLE[:100],
    "cut short, progressive": (content := encoded(pixels(0, 300, 200), progressive=True))[
        : len(content) // 2
    ],
    "cut short by little": WHOLE[:-20],
    "empty": b"",
    "broken marker": WHOLE.replace(b"\xff\xc0", b"\xff\xc5", 1),
    "a side that no JPEG has": encoded(Image.new("L", (70_000, 9)), "PNG"),
    "signed 16 bits": encoded(Image.fromarray(np.ones((9, 9), np.int32)), "TIFF"),
    "colours of 12 bits in 16": colour_16(16),
    "32 bits": encoded(Image.fromarray(np.ones((9, 9), np.float32)), "TIFF"),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
@pytest.mark.parametrize("encoding", [Encoding(), Encoding(short_side=16)], ids=["kept", "shrunk"])
def test_bad_images_are_named_and_left_out_up_to_the_share(root, store, content, encoding):
    (root / "0000a.JPEG").write_bytes(content)
    with pytest.raises(InputError, match=r"upstream: 1 of 3 images are bad.*\n.*unreadable: 0000a.JPEG"):
        build(root, store, encoding=encoding)
    assert not store.exists()
    record, info = build(root, store, encoding=encoding, max_bad_share=0.34)
    assert info.sizes == {"train": 2}
    assert [problem.path for problem in record.problems] == ["0000a.JPEG"]
    assert EncodedImages(store, "train").labels.tolist() == [0, 0]
    assert "0000a" not in store.with_suffix(".csv").read_text()
    assert [file.path for file in record.files] == ["0000.JPEG", "0001.JPEG"]


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}, {"exif": exif(6)}]
)
def test_a_check_finds_what_decoding_whole_finds(options):
    noise = np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8)  # nearly all is scan
    whole, dice, found = encoded(Image.fromarray(noise), **options), random.Random(0), []
    damaged = [whole, whole[:-2], whole + b"more", whole[:9000] + bytes(500), whole[:9000] + b"\xff\xd9"]
    damaged += [whole[: dice.randrange(len(whole))] for _ in range(60)]
    for reach in (700, len(whole)):
        for _ in range(60):
            flipped = bytearray(whole)
            flipped[dice.randrange(reach)] = dice.randrange(256)
            damaged.append(bytes(flipped))
    for content in damaged:
        try:
            image = EncodedImage(Path("a.jpg"), content)
        except InputError:
            continue
        if image.is_plain_jpeg:
            found.append((fails(image.check), fails(EncodedImage(Path("a.jpg"), content).colour)))
    assert all(check == decoding for check, decoding in found)
    assert 40 < sum(check for check, _ in found) < len(found) - 40


def fails(read):
    try:
        read()
    except InputError:
        return True
    return False


def test_images_in_the_middle_of_a_file(root, store):
    contents = [path.read_bytes() for path in sorted(root.iterdir())]
    archive = root / "all.tar"
    archive.write_bytes(b"head" + contents[0] + b"between" + contents[1])
    places = [(4, len(contents[0])), (11 + len(contents[0]), len(contents[1]))]
    images = [SourceImage(f"{i}", 0, archive, *place) for i, place in enumerate(places)]
    build(root, store, {"train": images})
    assert [EncodedImages(store, "train")[i] for i in range(2)] == contents

    archive.write_bytes(archive.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"upstream: 1 of 2"):
        build(root, store, {"train": images})
    assert "all.tar ends before it does" in store.with_suffix(".json").read_text()


def test_what_is_written_beside_the_store(root, store, capsys):
    images = {"train": jpeg_sources.sources(root)[:1], "test": jpeg_sources.sources(root)[1:]}
    record, info = build(root, store, images)
    assert store.with_suffix(".csv").read_text().splitlines() == [
        "split,row,class,label,image",
        "train,0,a,0,0000.JPEG",
        "test,0,b,1,0001.JPEG",
    ]
    assert record.notes == ["split train has no image of b", "split test has no image of a"]
    assert "note: upstream: split train has no image of b\n" in capsys.readouterr().err
    digests = [source_files.digest(path, root) for path in sorted(root.iterdir())]
    assert record.files == digests
    assert info.sources["files"] == 2
    assert info.config["quality"] == 90
    assert not list(store.parent.glob("*.parts"))
