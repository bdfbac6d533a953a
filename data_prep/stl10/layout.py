"""The names of the published files, by split in the order of a store's manifest."""

FOLDER = "stl10_binary"
IMAGES = {"train": "train_X.bin", "unlabelled": "unlabeled_X.bin", "test": "test_X.bin"}
LABELS = {"train": "train_y.bin", "test": "test_y.bin"}
CLASS_NAMES = "class_names.txt"
FOLDS = "fold_indices.txt"
