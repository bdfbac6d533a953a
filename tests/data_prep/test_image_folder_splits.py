from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cld.runtime.errors import InputError
from data_prep.common.image_tree import natural
from data_prep.common.settings import settings_from
from data_prep.image_folder.build import square_region
from data_prep.image_folder.layout import Tree
from data_prep.image_folder.splits import divided, leaks, split_tree


def paths(n, folder="c"):
    return [Path(folder) / f"{k}.png" for k in range(n)]


@given(
    n=st.integers(0, 200),
    share=st.floats(0, 0.9),
    seed=st.integers(0, 2**40),
    stream=st.text(max_size=5),
    at_least=st.integers(0, 1),
)
def test_a_division_takes_the_share_in_order_and_never_all(n, share, seed, stream, at_least):
    kept, taken = divided(paths(n), share, seed, stream, at_least)
    assert sorted(kept + taken) == sorted(paths(n))
    assert kept == [path for path in paths(n) if path in kept]
    assert taken == [path for path in paths(n) if path in taken]
    assert (kept, taken) == divided(paths(n), share, seed, stream, at_least)
    assert bool(kept) == (n > 0)
    assert len(taken) >= at_least or n < 2
    assert abs(len(taken) - n * share) <= 1
    if n * share > 20 and n * (1 - share) > 20:
        assert taken != divided(paths(n), share, seed, f"{stream} of another class", at_least)[1]


@given(st.lists(st.integers(0, 6), min_size=2, max_size=5), st.sampled_from([0.0, 0.2, 0.5]))
def test_every_class_of_an_unsplit_tree_learns_and_tests_or_is_refused(sizes, val_share):
    classes = [f"c{label}" for label in range(len(sizes))]
    tree = Tree(classes, {None: [paths(n, name) for n, name in zip(sizes, classes, strict=True)]})
    settings = settings_from("build/image_folder", {"val_share": val_share}, "build settings")
    if min(sizes) < 2:
        with pytest.raises(InputError, match="too few images of class"):
            split_tree(Path(), tree, settings)
        return
    try:
        splits = split_tree(Path(), tree, settings)
    except InputError as error:
        assert val_share and "split 'val' is empty" in str(error)
        return
    assert list(splits) == (["train", "val", "test"] if val_share else ["train", "test"])
    for split in ("train", "test"):
        assert {label for _, label in splits[split]} == set(range(len(sizes)))
    everything = [path for group in splits.values() for path, _ in group]
    assert len(everything) == len(set(everything)) == sum(sizes)


def test_a_file_that_cannot_be_read_is_no_leak(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    splits = {"train": [(tmp_path / "a", 0), (tmp_path / "gone", 0)], "test": [(tmp_path / "gone_too", 0)]}
    assert leaks(tmp_path, splits) == []
    (tmp_path / "b").write_bytes(b"x")
    (note,) = leaks(tmp_path, {**splits, "test": [(tmp_path / "b", 1)]})
    assert note.endswith("(a leak): 1, the first b = a")


@given(st.integers(1, 500), st.integers(1, 500))
def test_the_middle_is_a_square_as_wide_as_the_shorter_side(width, height):
    box = square_region(width, height, "crop")
    assert box.width == box.height == min(width, height)
    assert (box.left, box.top) == (width - box.right, height - box.bottom)
    assert square_region(width, height, "stretch") == (0, 0, width, height)


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=6), unique=True))
def test_natural_order_is_an_order(names):
    """Any names can be compared, digits of other scripts among them; the start does not matter."""
    files = [Path(name) for name in {str(Path(name)) for name in names}]
    backwards = files[::-1]
    assert sorted(files, key=natural) == sorted(backwards, key=natural)
    assert sorted([Path("rgb_10"), Path("rgb_9"), Path("rgb_09")], key=natural)[-1] == Path("rgb_10")
