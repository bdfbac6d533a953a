"""Figures of the supplement, one module each; ``style`` is what they share."""
