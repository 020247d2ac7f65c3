# mypy: allow-untyped-defs, allow-untyped-calls
"""Paired comparisons, against published values and by counting."""

import math

import numpy as np
import pytest
import scipy.stats

from components.artifacts import paired
from components.artifacts.paired import Pair


def pair(only_ours, only_theirs, n, both=0):
    return Pair(n, both, only_ours, only_theirs, n - both - only_ours - only_theirs)


LENSES = pair(0, 1, 44, both=43)  # Tango 1998, section 6.1: two ways to disinfect soft contact lenses
SLEEP = pair(9, 3, 32)  # Tango 1998, section 6.2: sleeping difficulties of marijuana users and their controls
AIRWAYS = pair(1, 7, 21, both=1)  # Fagerland, Lydersen and Laake 2014, table 2: airways before and after a transplant


def test_tango_as_published():
    assert paired.score(LENSES, -0.1) == pytest.approx(1.709, abs=5e-4)
    assert paired.not_inferior(LENSES, 0.1) == pytest.approx(0.044, abs=5e-4)
    assert paired.interval(LENSES, 0.9)[0] == pytest.approx(-0.096, abs=5e-4)
    assert paired.interval(SLEEP) == pytest.approx((-0.027, 0.390), abs=5e-4)
    assert paired.interval(AIRWAYS) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_mcnemar_by_hand():
    assert paired.mcnemar(AIRWAYS) == pytest.approx(2 * (1 + 8) / 2**8)
    assert paired.mcnemar(AIRWAYS, "less") == pytest.approx((1 + 8) / 2**8)
    assert paired.mcnemar(AIRWAYS, "greater") == pytest.approx(1 - 1 / 2**8)
    assert paired.mcnemar(pair(0, 0, 10)) == 1.0


def test_at_no_difference_the_score_is_mcnemars():
    assert paired.score(SLEEP, 0) == pytest.approx((9 - 3) / math.sqrt(9 + 3))


@pytest.mark.parametrize("made", [LENSES, SLEEP, AIRWAYS, pair(0, 0, 50), pair(50, 0, 50), pair(31, 57, 10_000)])
def test_the_interval_is_what_the_test_does_not_reject(made):
    low, high = paired.interval(made)
    assert -1 <= low <= made.difference <= high <= 1
    for margin in (-low - 1e-6, -low + 1e-6):
        assert low == -1 or (paired.not_inferior(made, margin) < 0.025) == (margin > -low)
    mirrored = Pair(made.n, made.both, made.only_theirs, made.only_ours, made.neither)
    assert paired.interval(mirrored) == pytest.approx((-high, -low), abs=1e-9)


def test_without_a_difference_of_answers_the_interval_is_that_of_wilson():
    low, high = paired.interval(pair(0, 0, 50))
    expected = scipy.stats.binomtest(0, 50).proportion_ci(method="wilson").high
    assert (low, high) == pytest.approx((-expected, expected))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0).multinomial(1000, [0.95, 0.02, 0.012, 0.018], size=2000)
    held = [paired.interval(Pair(1000, *map(int, draw)))[0] <= 0.008 <= paired.interval(Pair(1000, *map(int, draw)))[1]
            for draw in draws]  # fmt: skip
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_counts():
    labels = np.array([0, 1, 2, 3, 4])
    found = paired.counts(np.array([0, 1, 2, 0, 0]), np.array([0, 1, 0, 3, 0]), labels)
    assert found == Pair(n=5, both=2, only_ours=1, only_theirs=1, neither=1)
    assert (found.difference, found.discordant_share) == (0.0, 0.4)
    with pytest.raises(ValueError, match="answers of shape"):
        paired.counts(labels[:4], labels, labels)


def test_the_smallest_difference_is_found_as_often_as_it_says():
    n, share = 10_000, 0.01
    difference = paired.smallest(n, share)
    assert difference == pytest.approx(0.0028, abs=5e-5)
    discordant = np.arange(n + 1)
    better = (share + difference) / 2 / share
    bound = discordant / 2 + scipy.stats.norm.ppf(0.975) * np.sqrt(discordant) / 2
    found = scipy.stats.binom.sf(np.ceil(bound) - 1, discordant, better)
    assert np.sum(scipy.stats.binom.pmf(discordant, n, share) * found) == pytest.approx(0.8, abs=0.01)


def test_the_smallest_difference_is_never_larger_than_the_share_that_it_needs():
    few = paired.smallest(100, 0.01)
    assert few == pytest.approx(paired.smallest(100, few), abs=1e-9)
    assert paired.smallest(2, 0.0) == 1.0


def test_holm():
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([0.9, 0.5]) == [1.0, 1.0]
    assert paired.holm([]) == []
