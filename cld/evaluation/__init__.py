"""Evaluation: one module per protocol; ``cld evaluate PROTOCOL`` scores by any of them."""
