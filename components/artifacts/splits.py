"""The splits of a data set, for declarations, which import nothing heavy."""

SPLITS = ("train", "validation", "test")
OF_SPLITS = tuple(f"{split}-*" for split in SPLITS)  # their files: images, labels, weights and origins
