"""Checks of the settings that the builders of published small images share."""

from collections.abc import Mapping, Sequence

from cld.runtime.errors import InputError

WHERE = "build settings"


def stated_counts(expect: object, splits: Sequence[str]) -> dict[str, int]:
    """The setting ``expect``, images by split, less the splits that may have any number (null, or left out).

    Raises:
        InputError: no such split, or not a number of images.
    """
    if not isinstance(expect, Mapping):
        raise InputError(f"{WHERE}: expect is {expect!r}; it must give images by split, e.g. {{train: null}}")
    for split, count in expect.items():
        if split not in splits:
            raise InputError(f"{WHERE}: expect names split '{split}'; the splits are {', '.join(splits)}")
        if count is not None and (type(count) is not int or count < 1):
            raise InputError(
                f"{WHERE}: expect.{split} is {count!r}; it must be a whole number, 1 or more, or null"
            )
    return {split: count for split, count in expect.items() if count is not None}


def require_normalisation(mean: object, std: object) -> None:
    """Check that ``mean`` and ``std`` are both null or both three numbers, above 0 and at most 1.

    Raises:
        InputError: names the setting and its value.
    """
    if (mean is None) != (std is None):
        raise InputError(f"{WHERE}: mean is {mean!r} and std is {std!r}; give both, or null for both")
    for name, value in (("mean", mean), ("std", std)):
        if value is not None and not _is_colour(value):
            raise InputError(
                f"{WHERE}: {name} is {value!r}; it must be three numbers, each above 0 and at most 1, or null"
            )


def _is_colour(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(isinstance(v, int | float) and not isinstance(v, bool) and 0 < v <= 1 for v in value)
    )
