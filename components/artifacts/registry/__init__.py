"""The registry: which models were blessed, and which one is the blessed one now, by name and test set.

    REGISTRY/NAME/TESTSET/000001.json, …   a log of what was decided: a model blessed, a version promoted, a step back
    REGISTRY/artifacts/DIGEST/             the models and their metrics, so that none depends on a run's own folder

The last entry says what is blessed, and as a log has each number once, of two who decide at the same time one does so
first, and the other one knows of it. Nothing is ever removed: what was decided, by whom and from which run stays.
"""

from components.artifacts.registry.shelf import Event, Registry, Shelf, State, Version

__all__ = ["Event", "Registry", "Shelf", "State", "Version"]
