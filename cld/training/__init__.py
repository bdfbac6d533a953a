"""Pre-training: the only loop, its schedule, its checkpoints and its log."""
