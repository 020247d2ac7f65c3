"""How a study is done: what can be asked of it besides what it varies."""

from components.contract.declaration import Parameters, parameter
from components.study.names import SAMPLERS


class StudyParameters(Parameters):
    """How many trials, how they are found, and how the best is made sure of."""

    trials: int = parameter(20, "Trials: combinations of values that are tried; of a grid, all", ge=1, le=10_000)
    sampler: str = parameter(
        "tpe", "How values are found: by what came of those before (tpe), by chance, or all there are", choices=SAMPLERS
    )
    at_once: int = parameter(
        4, "Trials of a batch: values are found anew after each, so many machines can be at work", ge=1, le=1000
    )
    eta: int = parameter(4, "Halving: one in so many goes on from each rung to the next; 1: all train to the end", ge=1)
    seeds: int = parameter(
        1, "Seeds with which the best are trained again; 1: only the seed of the search", ge=1, le=100
    )
    finalists: int = parameter(3, "How many are trained with these seeds", ge=1, le=100)
