import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from cld.models.heads import HEADS, NormLinear, build_head
from cld.runtime.errors import InputError


def test_norm_linear_is_the_authors(golden):
    weight = golden["normlinear_weight_in_by_out"]
    layer = NormLinear(*weight.shape)
    assert layer.weight.shape == weight.shape
    layer.load_state_dict({"weight": weight})
    torch.testing.assert_close(layer(golden["normlinear_x"]), golden["normlinear_out"], rtol=1e-5, atol=1e-6)


def test_norm_linear_gives_cosines_whatever_the_lengths():
    layer, x = NormLinear(6, 4), torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    expected = cosine_similarity(x[:, None, :], layer.weight.T[None], dim=2)
    torch.testing.assert_close(layer(7 * x), expected)
    layer.weight.data.mul_(3)
    torch.testing.assert_close(layer(x), expected)


def test_norm_linear_gradient():
    layer = NormLinear(4, 3).double()
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, weight: torch.func.functional_call(layer, {"weight": weight}, x), (x, layer.weight)
    )


def test_norm_linear_starts_as_unit_columns():
    torch.testing.assert_close(NormLinear(6, 4).weight.norm(dim=0), torch.ones(4))


@pytest.mark.parametrize("kind", [kind for kind in HEADS if kind != "none"])
def test_every_kind_maps_features_to_its_size_without_normalising(kind):
    head = build_head(kind, 6, 4)
    out = head(torch.randn(5, 6))
    assert out.shape == (5, 4)
    assert not torch.allclose(out.norm(dim=1), torch.ones(5))


def test_layers_of_each_kind():
    def layers(kind):
        return [
            (type(layer), getattr(layer, "weight", torch.empty(0)).numel())
            for layer in build_head(kind, 6, 4).modules()
            if not isinstance(layer, nn.Sequential)
        ]

    assert layers("linear") == [(nn.Linear, 24)]
    assert layers("norm_linear") == [(NormLinear, 24)]
    assert layers("mlp") == [(nn.Linear, 36), (nn.ReLU, 0), (nn.Linear, 24)]
    assert layers("norm_mlp") == [(nn.Linear, 36), (nn.ReLU, 0), (NormLinear, 24)]


def test_no_head_hands_the_features_on():
    x = torch.randn(5, 6)
    assert torch.equal(build_head("none", 6, 6)(x), x)
    with pytest.raises(InputError, match=r"head\.dim 4: head\.kind none keeps the backbone's; set 6"):
        build_head("none", 6, 4)
