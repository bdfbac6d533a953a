"""Evaluation: one module per protocol; ``python -m cld.evaluation PROTOCOL`` scores by any of them."""
