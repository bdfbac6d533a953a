import pytest
import torch
from torchvision import models
from torchvision.models import resnet

from cld.models.backbones import build_backbone, require_side
from cld.runtime.errors import InputError


def backbone(name="resnet18", blocks=None, width=64, stem="imagenet"):
    return build_backbone({"name": name, "blocks": blocks, "width": width, "stem": stem})


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_weights_and_outputs_are_torchvisions(name):
    reference = getattr(resnet, name)()
    reference.fc = torch.nn.Identity()
    ours = backbone(name)
    ours.load_state_dict(reference.state_dict())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    out = ours(images)
    assert out.shape == (2, ours.out_features)
    torch.testing.assert_close(out, reference(images), rtol=1e-4, atol=1e-5)
    ours.eval(), reference.eval()  # with the running statistics of one step
    torch.testing.assert_close(ours(images), reference(images), rtol=1e-3, atol=1e-4)


def test_initial_values_are_drawn_as_torchvisions():
    ours, reference = dict(backbone().named_parameters()), resnet.resnet18()
    for name, value in reference.named_parameters():
        if value.ndim == 4:
            assert ours[name].std().item() == pytest.approx(value.std().item(), rel=0.05)
        elif not name.startswith("fc"):
            assert torch.equal(ours[name], value)


@pytest.mark.parametrize(("stem", "size"), [("small", 32), ("small_stride2", 16), ("imagenet", 8)])
def test_stem_shrinks_the_image(stem, size):
    network = backbone(width=8, stem=stem)
    shapes = []
    network.layer1.register_forward_hook(lambda module, inputs, output: shapes.append(inputs[0].shape))
    network(torch.randn(2, 3, 32, 32))
    assert shapes == [(2, 8, size, size)]


def test_width_and_blocks_make_the_demo_network():
    network = backbone(blocks=[1, 1, 1, 1], width=16, stem="small_stride2")
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len([c for c in convolutions if c.kernel_size != (1, 1)]) == 9  # with the head, ResNet-10
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, network.out_features) == (2, 128)


def test_every_parameter_learns():
    network = backbone("resnet50", blocks=[1, 2, 1, 1], width=4, stem="small")
    network(torch.randn(4, 3, 16, 16)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "features"),
    [("mobilenet_v3_small", 1024), ("convnext_tiny", 768), ("regnet_y_400mf", 440), ("resnet101", 2048)],
)
def test_any_network_of_torchvision_without_its_classifier(name, features):
    torch.manual_seed(0)
    ours = backbone(name).eval()
    torch.manual_seed(0)
    reference = models.get_model(name, weights=None).eval()
    captured = []
    last = [module for module in reference.modules() if isinstance(module, torch.nn.Linear)][-1]
    last.register_forward_pre_hook(lambda module, inputs: captured.append(inputs[0]))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        reference(images)
        assert torch.equal(ours(images), captured[0])
    assert ours.out_features == features


def test_an_unknown_name_is_refused_with_the_nearest_ones():
    with pytest.raises(InputError, match=r"'resnet5O' is unknown; did you mean .*resnet50"):
        backbone("resnet5O")
    with pytest.raises(InputError, match="squeezenet1_0' has no linear classifier"):
        backbone("squeezenet1_0")


@pytest.mark.parametrize(("name", "side"), [("googlenet", 32), ("inception_v3", 96)])
def test_networks_with_side_outputs_give_one_in_training(name, side):
    network = backbone(name).train()
    assert network(torch.randn(2, 3, side, side)).shape == (2, network.out_features)


@pytest.mark.parametrize(
    ("name", "side", "fits"),
    [("vit_b_16", 32, 224), ("alexnet", 32, 64), ("inception_v3", 32, 75), ("vit_b_16", 256, None)],
)
def test_a_side_that_a_network_does_not_take_is_refused_with_one_that_it_takes(name, side, fits):
    settings = {"name": name, "blocks": None, "width": 64, "stem": "small"}
    with pytest.raises(
        InputError, match=f"image_size {side}: backbone.name '{name}' takes no images"
    ) as told:
        require_side(settings, side)
    assert (f"set image_size={fits}, or choose another" if fits else "); choose another") in str(told.value)
    if fits:
        require_side(settings, fits)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "googlenet", "swin_t", "densenet121"])
def test_a_side_that_a_network_takes_is_not_refused(name):
    require_side({"name": name, "blocks": None, "width": 64, "stem": "small"}, 32)
