"""Fine-tuning a detector: what it is made of, that it learns, that it can be stopped, what it refuses."""

from functools import partial

import numpy as np
import pytest
import torch
from detection_stores import pictures, without_objects, write_pictures
from PIL import Image
from torch import nn
from torchvision.ops import roi_align

from cld.config import load_protocol, merge
from cld.data import read_info
from cld.evaluation.detection.average_precision import Detections
from cld.evaluation.detection.data import AnnotatedImages, flipped
from cld.evaluation.detection.model import build_detector
from cld.evaluation.detection.scoring import count, detect, score_detection
from cld.methods.encoder import build_encoder
from cld.models.backbones import build_backbone
from cld.runtime import distributed
from cld.runtime.errors import InputError
from cld.training.checkpoint import load_checkpoint, save_checkpoint
from cld.training.run_id import run_id

CPU = torch.device("cpu")


def tiny_settings(iterations=6, **changes):
    tiny = {
        "schedule": {"voc07": {"iterations": iterations, "steps": [iterations * 3 // 4]}},
        "images_per_step": 4,
        "lr": 0.03,
        "warmup_iterations": 5,
        "scales": {"train": [36, 44], "test": 40, "longest": 80},
        "anchors": {"sizes": [10, 20], "ratios": [0.5, 1.0, 2.0]},
        "proposals": {split: {"before_nms": 60, "after_nms": 30} for split in ("train", "test")},
        "boxes": {"pool": 6, "sampled": 24},
    }
    return merge(merge(load_protocol("demo", "detection"), tiny, "test"), changes, "test")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    splits = {"train": pictures(40, seed=0), "test": pictures(30, seed=1)}
    return write_pictures(tmp_path_factory.mktemp("detection") / "s.h5", splits)


@pytest.fixture(scope="module")
def checkpoint_of(tiny_run, tmp_path_factory):
    """``checkpoint_of({key: value})``: the checkpoint of a run whose network is fresh."""

    def write(overrides=None):
        changes = {"backbone.width": 8, "workers": 0, "checkpoint_every_s": 0, **(overrides or {})}
        config = tiny_run("npid", changes)
        torch.manual_seed(0)
        path = tmp_path_factory.mktemp("run") / "checkpoint.pt"
        save_checkpoint(path, {"config": config, "encoder": build_encoder(config).state_dict()})
        return str(path)

    return write


@pytest.fixture(scope="module")
def checkpoint(checkpoint_of):
    return checkpoint_of()


def test_the_paper_trains_r50_c4():
    settings = load_protocol("paper", "detection")
    backbone = build_backbone({"name": "resnet50", "blocks": None, "width": 64, "stem": "imagenet"})
    detector = build_detector(backbone, 20, settings, (0.5,) * 3, (0.2,) * 3, CPU)
    features = detector.backbone(torch.zeros(1, 3, 64, 96))
    assert features.shape == (1, 1024, 4, 6)  # res4, stride 16
    pieces = torch.randn(2, 1024, 14, 14)
    head = detector.roi_heads.box_head
    assert head.layer4(pieces).shape == (2, 2048, 7, 7) and head(pieces).shape == (2, 2048)
    assert head.norm.num_features == 2048  # the extra norm
    strides = [m.conv2.stride for m in detector.modules() if hasattr(m, "conv3") and m.downsample]
    assert strides == [(1, 1), (2, 2), (2, 2), (2, 2)]  # in the 3x3, also of res5
    assert detector.rpn.anchor_generator.num_anchors_per_location() == [15]
    assert all(weights.requires_grad for weights in detector.parameters())
    n_layers = sum(isinstance(module, nn.Conv2d) for module in detector.modules())
    assert n_layers == 53 + 3  # all of the network's, and those that propose
    assert detector.roi_heads.box_predictor.cls_score.out_features == 21
    assert settings["images_per_step"] == 16 and settings["scales"]["train"][0] == 480


def test_the_extra_norm_normalises_box_features_over_places():
    settings = tiny_settings()
    backbone = build_backbone({"name": "resnet18", "blocks": [1] * 4, "width": 4, "stem": "small"})
    head = build_detector(backbone, 3, settings, (0.5,) * 3, (0.2,) * 3, CPU).roi_heads.box_head.train()
    pieces = torch.randn(5, 16, 6, 6)
    reference = nn.functional.batch_norm(head.layer4(pieces), None, None, training=True).mean(dim=(2, 3))
    torch.testing.assert_close(head(pieces), reference)


@pytest.mark.parametrize(("stem", "stride"), [("imagenet", 16), ("small", 4), ("small_stride2", 8)])
def test_pieces_are_cut_out_at_the_features_stride(stem, stride):
    """Also where the images seen first are far smaller than what they are padded to."""
    backbone = build_backbone({"name": "resnet18", "blocks": [1] * 4, "width": 4, "stem": stem})
    detector = build_detector(backbone, 3, tiny_settings(), (0.5,) * 3, (0.2,) * 3, CPU)
    pool, features = detector.roi_heads.box_roi_pool, {"0": torch.randn(1, 16, 96 // stride, 96 // stride)}
    box = torch.tensor([[8.0, 0.0, 40.0, 24.0]])
    pieces = pool(features, [box], [(30, 33)])
    expected = roi_align(features["0"], [box], pieces.shape[-2:], spatial_scale=1 / stride, sampling_ratio=0)
    assert torch.equal(pieces, expected)


def test_a_flipped_box_covers_the_same_pixels(store):
    images = AnnotatedImages(store, "test", read_info(store))
    for row in range(len(images)):
        image, target = torch.from_numpy(images.pixels(row)).permute(2, 0, 1), images.target(row, CPU)
        mirrored, theirs = flipped(image, target)
        for ours, other in zip(target["boxes"].int().tolist(), theirs["boxes"].int().tolist(), strict=True):
            crop, same = (
                pixels[:, top:bottom, left:right]
                for pixels, (left, top, right, bottom) in ((image, ours), (mirrored, other))
            )
            assert torch.equal(crop.flip(2), same)


def test_a_perfect_detector_scores_100(store):
    info = read_info(store)
    images = AnnotatedImages(store, "test", info)
    real = images.truth
    assert real.difficult.any()
    everything = Detections(real.image, real.label, real.box, np.linspace(1, 0.5, len(real.label)))
    assert list(count(everything, real, info.classes)["metrics"].values()) == pytest.approx([100.0] * 5)
    none = Detections(*(values[:0] for values in (real.image, real.label, real.box, everything.score)))
    assert set(count(none, real, info.classes)["metrics"].values()) == {0.0}


@pytest.mark.slow
def test_fine_tuning_beats_the_detector_it_starts_from(store, checkpoint, tmp_path):
    before, after = (
        score_detection(store, tiny_settings(n), checkpoint, "cpu", score=tmp_path / f"{n}.json")
        for n in (0, 90)
    )
    assert before["metrics"]["ap50"] < 8 < 25 < after["metrics"]["ap50"]
    assert before["metrics"]["ap50_07"] < 12 < 25 < after["metrics"]["ap50_07"]
    config = load_checkpoint(checkpoint)["config"]
    assert (after["run"], after["seed"]) == (run_id(config), config["seed"])
    assert after["settings"]["schedule"] == {"iterations": 90, "steps": [67]}
    classes = after["details"]["classes"].values()
    assert after["metrics"]["ap"] == pytest.approx(np.mean([values["ap"] for values in classes]))
    picture = np.asarray(Image.open(tmp_path / "90.png").convert("RGB"))
    assert picture.shape[1] > 1000 and picture.std() > 10


def test_what_is_detected_depends_neither_on_neighbours_nor_on_processes(store, checkpoint_of):
    info, settings = read_info(store), tiny_settings(boxes={"least_score": 0.0})
    images = AnnotatedImages(store, "test", info)
    backbone = build_encoder(load_checkpoint(checkpoint_of())["config"]).backbone
    detector = build_detector(backbone, 3, settings, info.mean, info.std, CPU)
    ours, others = (detect(detector, images, settings, workers, CPU) for workers in (0, 2))
    assert np.array_equal(ours.score, others.score) and np.array_equal(ours.box, others.box)
    assert set(ours.label) <= {0, 1, 2} and len(ours.score)
    sizes = np.array([images.pixels(row).shape[1::-1] for row in range(len(images))])
    assert (ours.box >= 0).all() and (ours.box.reshape(-1, 2, 2) <= sizes[ours.image][:, None] + 1e-3).all()


def all_difficult():
    _, objects = pictures(5, seed=0)
    objects.difficult[:] = 1
    return objects


SOME = pictures(5, seed=0)[1]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (None, None, "its images have no annotated objects to detect; name a store that has"),
        (without_objects(5), SOME, r"split 'train' has 5 images and no object that counts \(0 are difficult"),
        (SOME, None, r"split 'test' has 5 images and no object that counts \(0 are difficult\); build it"),
        (SOME, all_difficult(), r"split 'test' has 5 images and no object that counts \([1-9]\d* are"),
    ],
)
def test_an_empty_devkit_is_one_line(tmp_path, checkpoint, train, test, message):
    images, _ = pictures(5, seed=0)
    path = write_pictures(tmp_path / "s.h5", {"train": (images, train), "test": (images, test)})
    with pytest.raises(InputError, match=f"{path}: {message}") as told:
        score_detection(path, tiny_settings(), checkpoint, "cpu", score=tmp_path / "d.json")
    assert "\n" not in str(told.value)
    assert not list(tmp_path.glob("d.*"))


def test_what_does_not_fit_is_one_line(store, checkpoint, checkpoint_of, tmp_path, monkeypatch):
    score = partial(score_detection, device_name="cpu", score=tmp_path / "d.json")
    mobile = checkpoint_of({"backbone.name": "mobilenet_v3_small"})
    message = "detection needs a backbone with a ResNet's stages, and MobileNetV3 has no conv1, .*; score a"
    with pytest.raises(InputError, match=f"{mobile}: {message}"):
        score(store, tiny_settings(), mobile)
    settings = tiny_settings()
    with pytest.raises(InputError, match=r"detection\.schedule has no key 'voc07', only other; add one"):
        score(store, {**settings, "schedule": {"other": {}}}, checkpoint)
    with pytest.raises(InputError, match=r"40 training images with objects do not fill a batch of 41; lower"):
        score(store, tiny_settings(images_per_step=41), checkpoint)
    with pytest.raises(InputError, match=r"fine-tuning diverged in iteration \d+: the loss is nan; lower"):
        score(store, tiny_settings(20, lr=1e12, warmup_iterations=0), checkpoint)
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    with pytest.raises(InputError, match=r"2 processes cannot share 1 images of a step \(detection.images_"):
        score(store, tiny_settings(images_per_step=1), checkpoint)
