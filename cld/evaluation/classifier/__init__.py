"""A linear classifier on a backbone: what the linear and the semi-supervised protocols share."""
