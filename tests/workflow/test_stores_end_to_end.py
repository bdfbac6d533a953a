"""Every dataset's store, from generated upstream files; own images, from a folder to a table."""

import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from checkouts import edited
from PIL import Image

from cld.config import CONFIG
from cld.data import read_info, verify
from cld.runtime.errors import InputError

DATASETS = sorted(path.stem for path in (CONFIG / "datasets").glob("*.yaml") if path.stem != "folder")
SIZES = {  # of the tiny preset
    "cifar10": {"train": 200, "test": 50},
    "cifar100": {"train": 400, "test": 100},
    "imagenet": {"train": 96, "test": 24},
    "imagenet100": {"train": 64, "test": 16},
    "stl10": {"train": 50, "unlabelled": 30, "test": 30},
    "voc07": {"train": 24, "test": 12},
    "voc0712": {"train": 48, "test": 12},
}


@pytest.fixture(scope="module")
def stores(built):
    """The folder in which all stores and their cards were made."""
    return built.folder / "results/tiny/stores"


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_store_is_made_whole_and_has_a_card(stores, dataset):
    store = stores / f"{dataset}.h5"
    info = read_info(store)
    assert (info.dataset, info.preset) == (dataset, "tiny")
    assert info.sizes == SIZES.get(dataset, info.sizes)
    assert "whole" in verify(store)
    rows = (stores / f"{dataset}.manifest.csv").read_text().splitlines()[1:]
    assert len(rows) == sum(info.sizes.values())
    report = json.loads((stores / f"{dataset}.report.json").read_text())
    assert report["counts"]["splits"] == info.sizes and report["status"] == "built"
    card = (stores / f"{dataset}.card.md").read_text()
    assert "not the published dataset" in card and info.checksum in card
    assert ("raw pixels" in card) == (not info.has_objects)
    assert (stores / f"{dataset}.card.png").stat().st_size > 10_000


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_flipped_byte_of_any_store_is_found(stores, dataset, tmp_path):
    store = Path(shutil.copy(stores / f"{dataset}.h5", tmp_path))
    shutil.copy(stores / f"{dataset}.h5.sha256", tmp_path)
    good = store.read_bytes()
    with h5py.File(store) as opened:
        images = opened["train/images" if "images" in opened["train"] else "train/jpeg"]
        place = images.id.get_offset() + images.nbytes // 2
    for position in (place, len(good) - 1, 100):
        spoilt = bytearray(good)
        spoilt[position] ^= 1
        store.write_bytes(spoilt)
        with pytest.raises(InputError, match=re.escape(str(store))):
            verify(store)


def test_long_tails_keep_the_test_set_and_shorten_the_classes(stores):
    for dataset, whole in (("cifar10_lt", "cifar10"), ("cifar100_lt", "cifar100")):
        tail, full = read_info(stores / f"{dataset}.h5"), read_info(stores / f"{whole}.h5")
        assert tail.sizes["test"] == full.sizes["test"] and tail.sizes["train"] < full.sizes["train"]


def test_stores_of_one_source_share_its_files(built):
    made = {path.name for path in (built.folder / "results/tiny/data").iterdir()}
    assert made == {"cifar10", "cifar100", "gmu_kitchens", "imagenet", "stl10", "voc"}


def test_a_changed_build_setting_rebuilds_that_store_only(built):
    with edited(built.preset, "imbalance: 2,", "imbalance: 3,"):
        planned = built.planned("all_stores")
    assert planned == {"store": 1, "evaluate_store": 1, "card": 1, "all_stores": 1}


def test_own_images_go_from_a_folder_to_the_table(built, tmp_path):
    rng = np.random.default_rng(0)
    for name, colour in (("red ones", (200, 60, 60)), ("grün", (60, 190, 80))):
        folder = tmp_path / "my photos" / name
        folder.mkdir(parents=True)
        for i in range(24):
            pixels = np.array(colour) + rng.normal(0, 30, (40, 50 + i % 7, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"IMG_{i}.JPG")
    with edited(built.config, "paths: {}", f"paths: {{folder: {tmp_path / 'my photos'}}}"):
        of_folder = {"fetch": 1, "store": 1, "evaluate_store": 1, "card": 1}
        assert built.planned("all_stores") == of_folder | {"all_stores": 1}
        built.make("results/tiny/tables/table_folder.md", "results/tiny/stores/folder.card.md")
        assert built.planned("all_stores") == {}
        Image.new("RGB", (40, 50)).save(tmp_path / "my photos/grün/another.png")
        assert built.planned("all_stores") == of_folder | {"all_stores": 1}
    table = (built.folder / "results/tiny/tables/table_folder.md").read_text()
    assert re.search(r"\| NPID \| (\**[\d.]+ ± [\d.]+\** \|\s){2}", table)
    assert "Own images, tiny scale" in table and "demo" not in table.lower()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("paths: {}", "paths: {imagnet: /data}", "did you mean 'data.paths.imagenet'?"),
        ("mirror: null", "miror: null", "did you mean 'data.mirror'?"),
    ],
)
def test_a_misspelt_place_of_data_is_named(built, old, new, message):
    with edited(built.config, old, new):
        failed = built.snakemake("--dry-run", "all_stores")
    assert failed.returncode != 0 and message in failed.stdout and "Traceback" not in failed.stdout


def test_files_that_need_registration_are_asked_for(built):
    failed = built.snakemake("results/paper/stores/imagenet100.h5")
    assert failed.returncode != 0
    for words in (
        "https://image-net.org",
        "ILSVRC2012_img_train.tar",
        "data/imagenet",
        "data.paths.imagenet",
    ):
        assert words in failed.stdout
