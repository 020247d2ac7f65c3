"""What the page of a comparison says first: which run is best on the test set, how sure that is, and what next."""

from collections.abc import Iterator, Mapping, Sequence

from components.artifacts import paired
from components.artifacts.page import Answer
from components.artifacts.words import count, listed, percent
from components.compare.duels import Duel, right
from components.compare.runs import Run

PAIRS = 4  # that are told in words; all are in the table


def answer(
    runs: Sequence[Run], compared: Sequence[Run], duels: Sequence[Duel], differing: Mapping[str, object]
) -> Answer:
    """Say which of the `compared` is best; of the others why they are not, and `differing` are parameters' names."""
    apart = list(_apart(runs, compared))
    if not duels:
        return Answer("warning", _without(runs), apart, [_remedy(runs)])
    best = max(compared, key=lambda run: int(right(run).sum()))
    own = [duel for duel in duels if duel.ours is best or (duel.theirs is best and not duel.pair.difference)]
    others = [duel for duel in own if not ours_is_theirs(duel)]
    sure = all(duel.sure for duel in others)
    why = [*(sentence(duel) for duel in own[:PAIRS]), *_smallest(others), *apart]
    headline = _headline(best, own, others)
    return Answer("good" if others and sure else "info", headline, why, list(_advice(differing, sure=sure)))


def sentence(duel: Duel) -> str:
    """Say how two runs compare, with the test and the interval."""
    pair, (low, high) = duel.pair, duel.interval
    ours, theirs = duel.ours.letter, duel.theirs.letter
    if ours_is_theirs(duel):
        return f"{ours} and {theirs} are the same model, byte for byte."
    if not pair.only_ours + pair.only_theirs:
        return f"{ours} and {theirs} have the same images right."
    both = f", {p_value(duel.adjusted)} for all pairs together" if duel.adjusted != duel.p else ""
    told = f"{ours} has {pair.only_ours:,} right that {theirs} has wrong, {theirs} {pair.only_theirs:,} the other way: "
    more = f"{points(pair.difference)} points more" if pair.difference else "no difference"
    return (
        f"{told}{more}, with a 95 % interval from {points(low)} to {points(high)} points; by McNemar's test p = "
        f"{p_value(duel.p)}{both}."
    )


def ours_is_theirs(duel: Duel) -> bool:
    """Tell whether both runs made the same model."""
    return bool(duel.ours.model) and duel.ours.model == duel.theirs.model


def points(share: float) -> str:
    """Return a difference of accuracies in points of a percent: `0.32`."""
    return f"{100 * share:.2f}".replace("-", "−")


def p_value(p: float) -> str:
    """Return a p-value with two digits that count."""
    return f"{p:.2g}" if p >= 0.0001 else "0.0001 or less"


def _headline(best: Run, own: Sequence[Duel], others: Sequence[Duel]) -> str:
    """Say which run is best, `own` being its pairs and `others` those of them with another model."""
    images = own[0].pair.n
    share = f"{percent(float(right(best).mean()))} of {count(images, 'test image')} right"
    if not others:
        return f"All are the same model: {share}."
    ties = [duel.theirs if duel.ours is best else duel.ours for duel in others if not duel.sure]
    if not ties:
        return f"{best.letter} ({best.name}) is the best on the test set: {share}, and hardly by chance."
    which = listed([run.letter for run in ties])
    return f"{best.letter} ({best.name}) has the most right, {share}, but that it is better than {which} may be chance."


def _smallest(others: Sequence[Duel]) -> Iterator[str]:
    """Yield the sentence on the smallest difference that can be seen, of the two models that are nearest."""
    pairs = [duel.pair for duel in others if duel.pair.discordant_share]
    if not pairs:
        return
    pair = min(pairs, key=lambda pair: pair.difference)
    seen = paired.smallest(pair.n, pair.discordant_share)
    yield (
        f"Of two models that answer {percent(pair.discordant_share)} of {count(pair.n, 'image')} differently, a "
        f"difference of {points(seen)} points is found four times of five; a smaller one takes more test images."
    )


def _advice(differing: Mapping[str, object], *, sure: bool) -> Iterator[str]:
    changed = [f"`{name}`" for name in differing if name != "seed"]
    if changed:
        yield (
            f"This is about these very models. Another seed may turn it round, so train each with several before you "
            f"choose {listed(changed)} by it."
        )
    if not sure:
        yield "Judge them on more test images, or take the one that is smaller, faster or better calibrated."


def _apart(runs: Sequence[Run], compared: Sequence[Run]) -> Iterator[str]:
    """Yield why the answers of some runs are not held against the others'."""
    known = {run.letter for run in compared} if len(compared) > 1 else set()
    for run in runs:
        if run.letter in known:
            continue
        if run.figures is None:
            yield f"{run.letter} ({run.name}) was not judged: there is no evaluation of it."
        elif run.test_set is None:
            yield f"{run.letter} ({run.name}): its data set is not there, so nobody knows what is right."
        elif run.logits is None:
            yield f"{run.letter} ({run.name}): its answers to single images are not there."
        else:
            yield (
                f"{run.letter} ({run.name}) was judged on another test set, {run.test_set.name} of "
                f"{count(len(run.test_set.labels), 'image')}: which images are right cannot be held against each other."
            )


def _without(runs: Sequence[Run]) -> str:
    judged = [run for run in runs if run.figures]
    if len(judged) < 2:
        return "Which one is better on the test set cannot be told: fewer than two were judged."
    return "Which one is better on the test set cannot be told image by image; their accuracies are below."


def _remedy(runs: Sequence[Run]) -> str:
    if any(run.figures is None for run in runs):
        return "Bring each run to its end, so that it is judged; what there is of each is below."
    return "Evaluate them on one data set, with this version, and compare again; what can be compared is below."
