import pytest

from cld.runtime.errors import InputError
from data_prep.common.settings import settings_from
from data_prep.kitchen.settings import KitchenSettings


def test_lists_from_a_configuration_file_are_accepted():
    settings = settings_from(
        KitchenSettings, {"scenes": [1, 2], "test_scenes": [2], "classes": ["red_bull"]}, "build settings"
    )
    assert settings.scenes == (1, 2)
    assert settings.classes == ("red_bull",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_visble": 0.5}, "unknown key 'min_visble'; did you mean 'min_visible'"),
        ({"image_size": 0}, "image_size is 0; it must be 1 or more"),
        ({"image_size": 32.5}, "image_size is 32.5; it must be a whole number"),
        ({"min_iou": 1.5}, "min_iou is 1.5; it must be 0 to 1"),
        ({"min_iou": float("nan")}, "min_iou is nan; it must be 0 to 1"),
        ({"val_share": True}, "val_share is True; it must be 0 to 0.9"),
        ({"fit": "crop"}, "fit is 'crop'; it must be one of stretch, square"),
        ({"classes": []}, "classes is .*; it must name at least one class"),
        ({"classes": "red_bull"}, "classes is 'red_bull'; it must be a list"),
        ({"classes": ["red_bull", "red_bull"]}, "must name nothing twice"),
        ({"aliases": ["a"]}, "aliases is .*; it must map spellings to classes"),
        ({"scenes": [1, 12]}, r"scenes is \[12\]; it must be among"),
        ({"scenes": [1, 2], "test_scenes": [5]}, r"test_scenes is \[5\]; it must be among 'scenes' \[1, 2\]"),
        ({"scenes": [2], "test_scenes": [2]}, "leave scenes to train on"),
        ({"test_scenes": []}, "leave scenes to test on"),
        ({"drop_difficult": 1}, "drop_difficult is 1; it must be true or false"),
        ({"geometry": False, "min_iou": 0.5}, "min_iou is 0.5; it must be 0 where 'geometry' is false"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        settings_from(KitchenSettings, changes, "build settings")
