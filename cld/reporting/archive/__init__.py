"""Results in one small file: what tables and figures are rendered from, without data and checkpoints."""
