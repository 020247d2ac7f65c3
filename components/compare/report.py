"""The page of a comparison: the answer in words, then what the runs were, how they learned, and what they answer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from components.artifacts import page
from components.artifacts.words import count, percent
from components.compare import chain, figures
from components.compare.answer import answer, p_value, points
from components.compare.duels import Duel, loss_interval, wilson
from components.compare.runs import Run

PICTURES = 24  # images shown that only one run has right, for each run
NONE = "–"  # where a run has nothing of the kind


def write(
    path: Path, runs: Sequence[Run], compared: Sequence[Run], duels: Sequence[Duel], alone: Mapping[str, list[int]]
) -> page.Answer:
    """Write the page and return its answer; `alone` are the images that only one of the `compared` has right."""
    differing = differences(runs)
    said = answer(runs, compared, duels, differing)
    sections = [
        _runs(runs),
        page.Section(
            "Parameters that differ", _parameters_text(differing), _parameters(runs, differing),
            wide=True,
        ),
        page.Section(
            "On the test set", "Each with its 95 % interval: of shares by Wilson's method, of the loss from its spread "
            "over the images. The others have none.",
            _table(runs, "On the test set", "figure", metrics(runs)), wide=True,
        ),
        *([_pairs(duels)] if duels else []),
        page.Section(
            "Loss", "After each epoch: of the validation images, and dotted of the images that were learned from.",
            figures.by_epoch(runs, "loss"),
        ),
        page.Section(
            "Accuracy", "After each epoch: of the validation images, and dotted of the images that were learned from.",
            figures.by_epoch(runs, "accuracy"),
        ),
        page.Section(
            "Gradient norm", "The length of the whole gradient over the steps, before clipping; of a long run the mean "
            f"of each of {figures.POINTS} parts.",
            figures.norms(runs),
        ),
        page.Section(
            "Findings of export", "How often each rule found something in the gradients; the report of export says "
            "where, and what to do.",
            _table(runs, "Findings", "rule", findings(runs)),
        ),
        *_alone(compared, alone),
    ]  # fmt: skip
    title = f"Compared: {', '.join(run.name for run in runs)}"
    page.write(path, title, said, _facts(runs), sections)
    return said


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return, by name, the parameters that are not the same for all runs that have any; the values as text."""
    known = [run for run in runs if run.made]
    found: dict[str, list[str]] = {}
    sources: tuple[tuple[str, Callable[[Run], Mapping[str, object]]], ...] = (
        ("", lambda run: run.parameters),
        (" (version)", lambda run: run.versions),
    )
    for suffix, of in sources:
        for name in dict.fromkeys(name for run in known for name in of(run)):
            values = [_shown(of(run).get(name)) for run in runs]
            if len({value for value, run in zip(values, runs, strict=True) if name in of(run)}) > 1:
                found[name + suffix] = values
    return found


def metrics(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return, by name, what evaluate measured, with intervals."""

    def row(told: Callable[[Run], str]) -> list[str]:
        return [told(run) if run.figures else NONE for run in runs]

    return {
        "accuracy": row(_accuracy),
        "mistakes": row(lambda run: f"{run.figures.mistakes:,} of {run.figures.images:,}" if run.figures else NONE),
        "loss": row(_loss),
        "worst class": row(_worst),
        "calibration error": row(lambda run: f"{run.figures.calibration_error:.4f}" if run.figures else NONE),
        "ROC area, micro": row(lambda run: f"{run.figures.roc_auc:.6f}" if run.figures else NONE),
    }


def findings(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return, by rule, how often export found something, and how severe that is."""
    rows = {"diagnosis": [run.diagnosis.verdict if run.diagnosis else NONE for run in runs]}
    for rule in sorted({each.rule for run in runs if run.diagnosis for each in run.diagnosis.findings}):
        rows[rule] = [_found(run, rule) for run in runs]
    return rows


def _found(run: Run, rule: str) -> str:
    if run.diagnosis is None:
        return NONE
    severities = [each.severity for each in run.diagnosis.findings if each.rule == rule]
    return ", ".join(f"{each} ({severities.count(each)})" for each in dict.fromkeys(severities)) or "no"


def _accuracy(run: Run) -> str:
    if not run.figures:
        return NONE
    low, high = run.figures.accuracy_interval
    return f"{percent(run.figures.accuracy)} ({100 * low:.2f} to {100 * high:.2f})"


def _loss(run: Run) -> str:
    if not run.figures:
        return NONE
    interval = loss_interval(run)
    return f"{run.figures.loss:.4f}" + (f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else "")


def _worst(run: Run) -> str:
    tested = [each for each in run.figures.classes if each.images] if run.figures else []
    if not tested:
        return NONE
    worst = min(tested, key=lambda each: each.recall)
    low, high = wilson(round(worst.recall * worst.images), worst.images)
    return f"{page.short(worst.name, 20)}: {percent(worst.recall)} ({100 * low:.2f} to {100 * high:.2f})"


def _facts(runs: Sequence[Run]) -> list[tuple[str, str]]:
    return [
        (f"{run.letter}: {page.short(run.name, 24)}", percent(run.figures.accuracy) if run.figures else "not judged")
        for run in runs
    ]


def _runs(runs: Sequence[Run]) -> page.Section:
    rows = [
        (
            f"{run.letter}: {run.name}", run.model[:12] or NONE,
            f"{run.test_set.name}, {count(len(run.test_set.labels), 'image')}" if run.test_set else NONE,
        )
        for run in runs
    ]  # fmt: skip
    table = page.table("Runs", ("run", "model", "test set"), rows)
    notes = (Markup("<p>{}: {}</p>").format(run.letter, note) for run in runs for note in (*_lacking(run), *run.notes))
    return page.Section(
        "Runs", "Each has a letter here. A model is named by the beginning of its digest, and so is a test set.",
        table + Markup("").join(notes), wide=True,
    )  # fmt: skip


def _lacking(run: Run) -> Iterator[str]:
    """Yield the sentence on what is not there of a run, if anything is not."""
    if missing := [kind for kind in reversed(chain.KINDS) if kind not in run.made]:
        yield f"There is no {', no '.join(missing)}."


def _parameters_text(differing: Mapping[str, object]) -> str:
    return (
        "All others are the same; a long value is cut here, and whole with `--json`."
        if differing
        else "There are none: all runs were given the same."
    )


def _parameters(runs: Sequence[Run], differing: Mapping[str, Sequence[str]]) -> Markup:
    room = max(16, 80 // len(runs))  # characters of a cell, which never wraps
    cut = {name: [page.short(value, room) for value in values] for name, values in differing.items()}
    return _table(runs, "Parameters that differ", "parameter", cut) if differing else Markup("")


def _table(runs: Sequence[Run], title: str, what: str, rows: Mapping[str, Sequence[str]]) -> Markup:
    header = (what, *(run.letter for run in runs))
    return page.table(title, header, ((name, *cells) for name, cells in rows.items()))


def _pairs(duels: Sequence[Duel]) -> page.Section:
    rows = [
        (
            f"{duel.ours.letter} and {duel.theirs.letter}", f"{duel.pair.only_ours:,}", f"{duel.pair.only_theirs:,}",
            f"{points(duel.pair.difference)} ({points(duel.interval[0])} to {points(duel.interval[1])})",
            p_value(duel.p), p_value(duel.adjusted),
        )
        for duel in duels
    ]  # fmt: skip
    header = ("pair", "only the first right", "only the second", "difference, points", "p", "p, all pairs")
    holm = " With several pairs chance has several tries, so the last column is Holm's correction of them all."
    return page.Section(
        "Each pair", "By the images that just one of both has right: the difference of accuracies, with its 95 % "
        "interval by Tango's score method, and McNemar's exact test, two-sided." + (holm if len(duels) > 1 else ""),
        page.table("Each pair", header, rows), wide=True,
    )  # fmt: skip


def _alone(compared: Sequence[Run], alone: Mapping[str, list[int]]) -> Iterator[page.Section]:
    """Yield, for each run, the images that only it has right, with what each run answers."""
    for run in compared:
        test_set, images = run.test_set, alone.get(run.letter, [])
        if test_set is None or run.letter not in alone:
            continue
        names = page.labels(test_set.classes, 24)
        scale = max(1, 68 // int(test_set.images.shape[2]))
        shown = (
            (
                page.picture(test_set.images[i], f"test image {i}: {names[test_set.labels[i]]}", scale),
                (f"label {names[test_set.labels[i]]}", *_answers(compared, names, i), f"image {i}"),
            )
            for i in images[:PICTURES]
        )
        some = f" The {PICTURES} that it is surest of." if len(images) > PICTURES else ""
        yield page.Section(
            f"Only {run.letter} has right",
            f"{count(len(images), 'image')} of the test set.{some}" if images else "There is no such image.",
            page.pictures(shown) if images else Markup(""), wide=True,
        )  # fmt: skip


def _answers(compared: Sequence[Run], names: Sequence[str], image: int) -> Iterator[str]:
    for run in compared:
        if run.answers is not None:
            yield f"{run.letter}: {names[run.answers[image]]}"


def _shown(value: object) -> str:
    return NONE if value is None else "(empty)" if value == "" else str(value)
