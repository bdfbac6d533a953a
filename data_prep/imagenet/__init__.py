"""ImageNet's files (ILSVRC 2012): as trees, as archives, and the lists that name parts of it."""
