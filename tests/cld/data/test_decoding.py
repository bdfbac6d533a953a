"""Cutting JPEGs against PIL and torchvision, and the processes that do it."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from photos import encoded, photo, photos, write_photos
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from torchvision.transforms.v2 import functional as tv

from cld.data import EncodedImages, read_info
from cld.data.decoding import cut, decoded
from cld.data.store_format import view_side
from cld.runtime.errors import InputError
from cld.runtime.worker_pool import worker_count


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Eight small images, a large one, one in four colours, a damaged one and a PNG."""
    rng = np.random.default_rng(1)
    large, small = photo(420, 600, rng), photos(8)
    four_colours = photo(40, 50, rng, "CMYK")
    png = io.BytesIO()
    Image.open(io.BytesIO(small[2])).save(png, "PNG")
    images = [*small, large, four_colours, small[1][: len(small[1]) // 2], png.getvalue()]
    return write_photos(tmp_path_factory.mktemp("decoding") / "s.h5", {"train": images})


@pytest.fixture(scope="module")
def images(store):
    return EncodedImages(store, "train")


def opened(images, row):
    return Image.open(io.BytesIO(images[row])).convert("RGB")


@pytest.mark.parametrize("row", [0, 3, 9, 11], ids=["grey", "colour", "four colours", "not a JPEG"])
@pytest.mark.parametrize(("kind", "edge"), [(int, 0), (float, 1)])
def test_regions_are_pils_crops_resized(images, row, kind, edge):
    whole = opened(images, row)
    regions = np.array([[0, 0, whole.height, whole.width], [2, 5, 16, 12], [1, 0, 9, 20]], dtype=kind)
    ours = cut(images, row, lambda height, width: regions, 12)
    assert ours.shape == (3, 12, 12, 3) and ours.dtype == np.uint8
    for square, region in zip(ours, regions.astype(int).tolist(), strict=True):
        expected = np.asarray(tv.resized_crop(whole, *region, [12, 12]), dtype=int)
        difference = np.abs(square - expected)
        assert difference[edge : 12 - edge, edge : 12 - edge].max() <= 1  # floats look beyond the edges
        assert difference.mean() < 1


def test_a_whole_image_has_pils_pixels(images):
    """Both decoders are the same library."""
    for row in (*range(10), 11):
        whole = opened(images, row)
        side = min(whole.size)
        square = cut(images, row, lambda height, width, side=side: np.array([[0, 0, side, side]]), side)[0]
        np.testing.assert_array_equal(square, np.asarray(whole)[:side, :side])


@pytest.mark.parametrize(("region", "reduction"), [((10, 30, 399, 401), 8), ((7, 9, 100, 300), 2)])
def test_a_large_image_is_decoded_smaller_where_no_detail_is_lost(images, region, reduction, monkeypatch):
    drafted, draft = [], JpegImageFile.draft

    def spy(image, mode, size):
        drafted.append(size)
        return draft(image, mode, size)

    monkeypatch.setattr(JpegImageFile, "draft", spy)
    ours = cut(images, 8, lambda height, width: np.array([region], dtype=float), 48)[0]
    assert drafted == [(600 // reduction, 420 // reduction)]
    expected = np.asarray(tv.resized_crop(opened(images, 8), *region, [48, 48]), dtype=float)
    assert np.abs(ours - expected).mean() < 2


def test_a_reduced_image_is_cut_in_the_same_place(tmp_path):
    """Sides that 8 does not divide: stripes at the far corner stay where they are."""
    pixels = np.zeros((403, 597, 3), np.uint8)
    pixels[303:, 497:] = 250
    path = write_photos(tmp_path / "s.h5", {"train": [encoded(pixels)]})
    region = np.array([[203.0, 397.0, 200.0, 200.0]])
    square = cut(EncodedImages(path, "train"), 0, lambda height, width: region, 25)[0].astype(int)
    assert square[14:, 14:].min() > 235 and square[:11].max() < 15 and square[:, :11].max() < 15


@pytest.mark.parametrize("kind", [int, float])
def test_a_damaged_jpeg_is_one_line(images, store, kind):
    with pytest.raises(
        InputError, match=rf"{store}: image 10 cannot be decoded \(.*\); build it again"
    ) as told:
        cut(images, 10, lambda height, width: np.array([[0, 0, height, width]], kind), 8)
    assert "\n" not in str(told.value)


def test_the_side_of_views(store, tiny_store):
    assert [view_side(size, read_info(store)) for size in ("auto", 96)] == [224, 96]
    assert [view_side(size, read_info(tiny_store)) for size in ("auto", 96)] == [8, 96]


CPU = torch.device("cpu")


def squares(job):
    if job == 99:
        raise InputError("store.h5: image 99 is bad")
    if job == 100:
        os._exit(1)
    return np.full((2, 2), job, np.uint8)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_the_jobs_order(workers):
    with decoded(squares, range(20), workers, ahead=4, device=CPU) as results:
        assert [result[0, 0].item() for result in results] == list(range(20))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_job_that_fails_is_told_in_its_own_words(workers):
    with (
        pytest.raises(InputError, match=r"^store\.h5: image 99 is bad$"),
        decoded(squares, iter([1, 2, 99, 3]), workers, ahead=2, device=CPU) as results,
    ):
        list(results)


def test_a_process_that_dies_is_one_line():
    with (
        pytest.raises(
            InputError, match=r"a worker process died, most likely .* fewer than 2 workers"
        ) as told,
        decoded(squares, iter([1, 100, 3, 4]), 2, ahead=2, device=CPU) as results,
    ):
        list(results)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("n_cpus", "n_processes", "workers"), [(8, 1, 7), (8, 2, 3), (1, 1, 0), (3, 4, 0)])
def test_automatic_workers_are_the_jobs_cpus_less_the_processes_own(
    monkeypatch, n_cpus, n_processes, workers
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(n_cpus)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(n_processes))
    assert worker_count("auto") == workers
    assert worker_count(5) == 5
    with decoded(squares, iter([1, 2, 3]), "auto", ahead=2, device=CPU) as results:
        assert len(list(results)) == 3


def process_id(job):
    return np.array([os.getpid()], np.int64)


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_pay_no_heed_to_signals_and_end_with_the_block():
    def endless():
        while True:
            yield 0

    with (
        pytest.raises(KeyError),
        decoded(process_id, endless(), 2, ahead=2, device=CPU) as results,
    ):
        next(results)
        processes = {process.pid for process in multiprocessing.active_children()}
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGURG):
            for process in processes:
                os.kill(process, number)
        assert {next(results).item() for _ in range(8)} <= processes
        assert all(map(is_running, processes))
        raise KeyError
    assert not any(map(is_running, processes))


SMALL_SHM = """
import resource, sys
import numpy as np, torch
from cld.data.decoding import decoded
from cld.runtime.errors import run_command

def job(n):
    return np.full((3, 400, 400, 3), n, np.uint8)

def main():
    with decoded(job, range(9), 2, 4, torch.device("cpu")) as batches:
        print(sum(int(pixels[0, 0, 0, 0]) for pixels in batches))

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)  # of files, of which /dev/shm has some
run_command(main)
"""


def with_files_of_at_most(n_bytes):
    command = [sys.executable, "-c", SMALL_SHM, str(n_bytes)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_decoding_needs_no_room_in_shared_memory():
    done = with_files_of_at_most(50_000)
    assert (done.returncode, done.stdout) == (0, "36\n"), done.stderr


def test_without_room_for_the_workers_locks_one_line_names_shm_size():
    done = with_files_of_at_most(8)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: /dev/shm: ") and "--shm-size" in done.stderr
