"""The files of CIFAR-10 and CIFAR-100 as published: Python 2 pickles, one a batch."""
