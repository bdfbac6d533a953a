import pytest
from hypothesis import given
from hypothesis import strategies as st

from cld.runtime.errors import InputError
from data_prep.common.settings import settings_from
from data_prep.kitchen.class_names import ClassNames
from data_prep.kitchen.gmu.layout import ALIASES, INSTANCES


def settings(**changes):
    return settings_from("build/kitchen", changes, "build settings")


@given(st.sampled_from(sorted(ALIASES)), st.booleans(), st.sampled_from(["", " ", "-", "_"]))
def test_every_alias_is_read_whatever_its_case_and_separators(alias, upper, separator):
    spelling = alias.replace("_", separator)
    label = ClassNames(settings()).label(spelling.upper() if upper else spelling)
    assert INSTANCES[label] == ALIASES[alias]


def test_labels_follow_the_settings_order_and_known_names_may_be_left_out():
    names = ClassNames(settings(classes=["red_bull", "hunts_sauce"]))
    spellings = ("hunts_sauce", "redbull", "pringles_bbq", "red_bull_sugarfree", "")
    assert [names.label(name) for name in spellings[:3]] == [1, 0, None]
    names.check("the data", "boxes")  # pringles_bbq is known, hence no unknown name
    assert [names.label(name) for name in spellings[3:]] == [None, None]  # not taken for an instance


def test_an_extra_name_may_be_kept_aliased_or_ignored():
    names = ClassNames(
        settings(
            classes=["mug", "red_bull"], aliases={"big cup": "mug"}, ignore=["bowl"], max_unknown_share=0
        )
    )
    assert [names.label(name) for name in ("Mug", "big_cup", "bowl", "red_bull")] == [0, 0, None, 1]
    names.check("the data", "boxes")
    kept = {"class": "mug", "count": 1}
    assert names.facts() == {
        "renamed": {"Mug": kept, "big_cup": kept},
        "not_kept": {"bowl": 1},
        "unknown": {},
    }


def test_unknown_names_pass_up_to_a_share_and_then_fail_with_their_list():
    names = ClassNames(settings(classes=["red_bull"], max_unknown_share=0.1))
    names.label("red_bull", 90)
    names.label("kettle", 3)
    names.label("toaster", 7)
    names.check("GMU", "boxes")
    names.label("toaster")
    with pytest.raises(
        InputError, match=r"11 of 101 boxes .*max_unknown_share.*: toaster, kettle; .*'ignore'"
    ):
        names.check("GMU", "boxes")


def test_a_class_that_nothing_is_called_fails_and_shows_near_names():
    names = ClassNames(settings(classes=["red_bull", "toster"]))
    for name in ("red_bull", "kettle", "toaster"):
        names.label(name)
    with pytest.raises(InputError, match=r"class 'toster' names nothing in GMU; .*: toaster, kettle"):
        names.check("GMU", "boxes")


def test_an_alias_of_no_class_fails():
    with pytest.raises(InputError, match="aliases maps 'cup' to 'mugg', which is not a class"):
        ClassNames(settings(aliases={"cup": "mugg"}))
