"""The gate: whether a model that passed is no worse than the one that is blessed, and becomes the blessed one."""
