# mypy: allow-untyped-defs, allow-untyped-calls
"""What a comparison says, in every case that can happen; and its statistics, by counting."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats

from components.compare.answer import answer
from components.compare.duels import comparable, duels, loss_interval, only_right
from components.compare.runs import Figures, HeldOut, OfClass, Run

LABELS = np.arange(1000) % 4
IMAGES = np.zeros((1000, 8, 8), np.uint8)
SET = HeldOut("624c4fd78dd1", IMAGES, LABELS, list("abcd"))


def run(letter, wrong, name="", test_set=SET, surer=()):
    """Return a run that has all images right but the `wrong` ones, and is surer of some of them."""
    answers = LABELS.copy()
    answers[list(wrong)] = (answers[list(wrong)] + 1) % 4
    logits = np.where(np.eye(4)[answers] == 1, 2.0, 0.0).astype(np.float32)
    logits[list(surer)] *= 2
    figures = Figures(
        images=1000, mistakes=len(wrong), accuracy=1 - len(wrong) / 1000, accuracy_interval=(0, 1), loss=0.5,
        calibration_error=0.1, roc_auc=0.9, classes=[OfClass(name="a", images=250, recall=0.5)],
    )  # fmt: skip
    return Run(letter, name or f"run-{letter}", {}, figures=figures, test_set=test_set, logits=logits)


def said(*runs, differing=()):
    compared = comparable(runs)
    return answer(runs, compared, duels(compared), dict.fromkeys(differing))


def test_one_is_better_and_hardly_by_chance():
    found = said(run("A", range(40)), run("B", range(30, 40)), differing=("learning_rate", "seed"))
    assert found.tone == "good"
    assert found.headline == (
        "B (run-B) is the best on the test set: 99.00 % of 1,000 test images right, and hardly by chance."
    )
    assert found.why == [
        (
            "B has 30 right that A has wrong, A 0 the other way: 3.00 points more, with a 95 % interval from 2.11 to "
            "4.25 points; by McNemar's test p = 0.0001 or less."
        ),
        (
            "Of two models that answer 3.00 % of 1,000 images differently, a difference of 1.53 points is found four "
            "times of five; a smaller one takes more test images."
        ),
    ]
    assert found.advice == [
        (
            "This is about these very models. Another seed may turn it round, so train each with several before you "
            "choose `learning_rate` by it."
        )
    ]


def test_it_may_be_chance_and_holm_counts_all_pairs():
    runs = run("A", range(12)), run("B", range(10, 20)), run("C", range(200, 260))
    pairs = {(duel.ours.letter, duel.theirs.letter): duel for duel in duels(runs)}
    assert set(pairs) == {("B", "A"), ("A", "C"), ("B", "C")}
    values = {
        ("B", "A"): scipy.stats.binomtest(10, 18).pvalue,
        ("A", "C"): scipy.stats.binomtest(60, 72).pvalue,
        ("B", "C"): scipy.stats.binomtest(60, 70).pvalue,
    }
    assert {key: duel.p for key, duel in pairs.items()} == pytest.approx(values)
    least, middle, most = sorted(values, key=lambda key: values[key])
    assert pairs[least].adjusted == pytest.approx(3 * values[least])
    assert pairs[middle].adjusted == pytest.approx(2 * values[middle])
    assert pairs[most].adjusted == pytest.approx(values[most])
    found = said(*runs)
    assert found.tone == "info"
    assert found.headline.startswith("B (run-B) has the most right, 99.00 % of 1,000 test images right, but ")
    assert found.headline.endswith("that it is better than A may be chance.")
    assert found.why[0].endswith(f"by McNemar's test p = {values['B', 'A']:.2g}.")
    assert found.why[1].endswith("by McNemar's test p = 0.0001 or less, 0.0001 or less for all pairs together.")
    assert found.advice[-1].startswith("Judge them on more test images")


def test_the_same_images_right_and_the_same_model():
    found = said(run("A", range(10)), run("B", range(10)))
    assert found.why[0] == "A and B have the same images right."
    assert found.headline.endswith("but that it is better than B may be chance.")
    assert len(found.why) == 1
    runs = run("A", range(40)), run("B", range(30, 40)), run("C", range(30, 40))
    for each in runs[1:]:
        each.made["train/trained_model"] = SimpleNamespace(digest="389b5a7e277a")
    found = said(*runs)
    assert found.headline.endswith("and hardly by chance.")
    assert found.why[1] == "B and C are the same model, byte for byte."
    assert said(*runs[1:]).headline == "All are the same model: 99.00 % of 1,000 test images right."


def test_what_is_not_compared_and_why():
    other = HeldOut("ffffffffffff", IMAGES[:500], LABELS[:500], list("abcd"))
    apart = run("C", range(10), test_set=other)
    unjudged, without, lost = (run(letter, range(10)) for letter in "DEF")
    unjudged.figures = unjudged.logits = None
    without.logits = None
    lost.logits = lost.test_set = None
    found = said(run("A", range(10)), run("B", range(20)), apart, unjudged, without, lost)
    assert found.headline.startswith("A (run-A)")
    assert found.why[2:] == [
        (
            "C (run-C) was judged on another test set, ffffffffffff of 500 images: which images are right cannot be "
            "held against each other."
        ),
        "D (run-D) was not judged: there is no evaluation of it.",
        "E (run-E): its answers to single images are not there.",
        "F (run-F): its data set is not there, so nobody knows what is right.",
    ]
    assert said(apart, run("A", ())).tone == "warning"
    assert said(unjudged, run("A", ())).headline.endswith("cannot be told: fewer than two were judged.")


def test_the_images_that_only_one_has_right_the_surest_first():
    runs = run("A", range(5), surer=[7]), run("B", range(3, 9))
    assert only_right(runs) == {"A": [7, 5, 6, 8], "B": [0, 1, 2]}
    assert only_right(runs[:1]) == {}
    assert only_right([*runs, run("C", range(1000))]) == {"A": [7, 5, 6, 8], "B": [0, 1, 2], "C": []}


def test_the_interval_of_the_loss():
    low, high = loss_interval(run("A", range(100))) or (0, 0)
    right, wrong = -np.log(np.exp(2) / (np.exp(2) + 3)), -np.log(1 / (np.exp(2) + 3))
    values = np.repeat([wrong, right], [100, 900])
    assert (low + high) / 2 == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.959964 * values.std(ddof=1) / np.sqrt(1000), rel=1e-5)
