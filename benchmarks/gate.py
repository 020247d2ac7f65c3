"""How often the gate lets a model through that it should not, and holds one up that it should not: by simulation.

For each true difference of accuracy, 10,000 pairs of models are drawn that differ by it, each judged on as many test
images as asked for, where a given share of images is right for just one of both. What is shown is the share of the
draws in which the check of the accuracy passes, by margin. At a difference of -margin that is the rate of false
passes, which is to be 2.5 % at most; at 0 and above, what is missing to 100 % is the rate of false fails.

    python -m benchmarks.gate [--images 10000] [--discordant 1.2] [--draws 10000]
"""

import argparse
from functools import cache

import numpy as np

from components.artifacts import paired
from components.artifacts.paired import Pair
from components.gate.decide import SIGNIFICANCE

MARGINS = (0.0, 0.1, 0.2, 0.3, 0.5)
DIFFERENCES = (-0.5, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3)  # points
CANDIDATES = (1, 20)
ACCURACY = 0.985  # of the images on which both agree


def draws(images: int, discordant: float, difference: float, count: int) -> list[Pair]:
    """Draw `count` pairs of models; `discordant` and `difference` are shares of the images."""
    ours, theirs = (discordant + difference) / 2, (discordant - difference) / 2
    agree = 1 - ours - theirs
    shares = [agree * ACCURACY, ours, theirs, agree * (1 - ACCURACY)]
    return [Pair(images, *map(int, row)) for row in np.random.default_rng(0).multinomial(images, shares, count)]


@cache
def p_value(pair: Pair, margin: float) -> float:
    """Return what the gate asks, once for each pair."""
    return paired.not_inferior(pair, margin / 100)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--discordant", type=float, default=1.2, help="points of the images; never less than is needed")
    parser.add_argument("--draws", type=int, default=10_000)
    options = parser.parse_args()
    for candidates in CANDIDATES:
        print(f"\n{options.images:,} images, {options.discordant:g} points discordant, one of {candidates} candidates")
        print("| true difference |" + "".join(f" margin {margin:g} |" for margin in MARGINS))
        print("|---|" + "---|" * len(MARGINS))
        for difference in DIFFERENCES:
            pairs = draws(options.images, options.discordant / 100, difference / 100, options.draws)
            shares = [
                sum(p_value(pair, margin) < SIGNIFICANCE / candidates for pair in pairs) / len(pairs)
                for margin in MARGINS
            ]
            print(f"| {difference:+.1f} |" + "".join(f" {100 * share:.1f} % |" for share in shares))


if __name__ == "__main__":
    main()
