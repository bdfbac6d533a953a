"""Networks: backbones and projection heads."""
