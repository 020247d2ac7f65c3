"""The page of a study: the best, how sure that is and what it cost; then what was tried, and what mattered."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState
from scipy import stats

from components.artifacts import page
from components.artifacts.words import count, listed, percent
from components.contract.artifact import canonical_json
from components.study import figures, plan
from components.study.plan import Final, Job, Outcomes, Spec
from components.study.sampler import distributions, values_of
from components.study.space import Choice

ENOUGH = 10  # trials, to say what matters
SURE = 0.05  # a difference that chance makes less often than this is taken for one
ROWS = 200


def write(folder: Path, name: str, spec: Spec, outcomes: Outcomes, command: str) -> None:
    """Write index.html, and study.json with all that came of the study."""
    finals, values = plan.finals(spec, outcomes), [values_of(spec, each, outcomes) for each in range(spec.trials)]
    page.write(
        folder / "index.html", f"Study {name}", _answer(spec, outcomes, finals, values, command),
        _facts(spec, outcomes, finals), list(_sections(spec, outcomes, finals, values)),
    )  # fmt: skip
    document = {
        "study": spec.document(),
        "best": {"trial": finals[0].trial, "values": values[finals[0].trial], "run": command},
        "finalists": [
            {"trial": each.trial, "searched": each.searched, "seeds": list(each.values), "mean": each.mean}
            for each in finals
        ],
        "steps": dict(zip(("search", "seeds"), plan.steps_taken(outcomes), strict=True))
        | {"in_full": plan.steps_in_full(spec, outcomes)},
        "trials": [{"values": each, "outcomes": _came(outcomes, trial)} for trial, each in enumerate(values)],
    }
    (folder / "study.json").write_bytes(canonical_json(document))


def sentence(spec: Spec, outcomes: Outcomes) -> str:
    """Return what a study ends with."""
    best = plan.finals(spec, outcomes)[0]
    chosen = values_of(spec, best.trial, outcomes)
    return f"best of {count(spec.trials, 'trial')}: {_said(chosen)}: {_name(spec)} {_measured(spec, best)}"


def how_sure(spec: Spec, finals: list[Final]) -> str:
    """Say whether the best is told apart from the next, by a paired t test over the seeds that both were given."""
    best = finals[0]
    if not best.values:
        return "It was trained with one seed, so how much of this is chance is not known."
    if len(finals) == 1:
        return f"No other finalist came through all {count(spec.seeds, 'seed')}, so there is nothing to compare with."
    sign = 1 if spec.higher else -1
    pairs = [sign * (one - other) for one, other in zip(best.values, finals[1].values, strict=True)]
    mean, number = sum(pairs) / len(pairs), len(pairs)
    spread = math.sqrt(sum((each - mean) ** 2 for each in pairs) / (number - 1) / number)
    ahead = f"Over {number} seeds it is ahead of the next one, trial {finals[1].trial}, by {_amount(spec, mean)}"
    if not spread:
        return f"{ahead} with every seed alike." if mean else f"Trial {finals[1].trial} is as good with every seed."
    chance = float(2 * stats.t.sf(abs(mean) / spread, number - 1))
    far = float(stats.t.ppf(1 - SURE / 2, number - 1)) * spread
    low = _amount(spec, mean - far).removesuffix(" points")
    interval = f"95 % interval {low} to {_amount(spec, mean + far)}"
    end = (
        "chance alone seldom makes that much, so it is very likely the better one"
        if chance < SURE
        else "chance alone makes that much often enough, so the two are not told apart; more seeds would"
    )
    return f"{ahead} ({interval}; paired t test, p = {chance:.2g}): {end}."


def matters(spec: Spec, outcomes: Outcomes, values: list[dict[str, Any]]) -> dict[str, float]:
    """Return the share of each varied parameter in what decides whether a trial is good; none of too few trials.

    PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255) on the outcomes at the first rung, which all trials have.
    """
    found = {trial: outcomes[Job(trial, 0)].value for trial in range(spec.trials)}
    known = {trial: value for trial, value in found.items() if value is not None}
    if len(known) < ENOUGH or len(set(known.values())) == 1:
        return {}
    study = optuna.create_study(direction="maximize" if spec.higher else "minimize")
    for trial, value in known.items():
        study.add_trial(optuna.create_trial(
            params=values[trial], distributions=distributions(spec.space), value=value, state=TrialState.COMPLETE
        ))  # fmt: skip
    return optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def _answer(
    spec: Spec, outcomes: Outcomes, finals: list[Final], values: list[dict[str, Any]], command: str
) -> page.Answer:
    best = finals[0]
    searched, again = plan.steps_taken(outcomes)
    full = plan.steps_in_full(spec, outcomes)
    cost = (
        f"The search took {searched:,} steps, {percent(searched / full)} of what {count(spec.trials, 'full training')} "
        f"would take"
    )
    why = [how_sure(spec, finals), f"{cost}{f'; the seeds took {again:,} more' if again else ''}."]
    if failed := [trial for trial in range(spec.trials) if outcomes[Job(trial, 0)].value is None]:
        why.append(f"{count(len(failed), 'trial')} failed: {listed([str(each) for each in failed])}; see the table.")
    advice = [f"Train with these values: `{command}`."]
    advice += [f"The best {name} is at an end of its range: look beyond it." for name in _at_ends(spec, values, best)]
    if spec.seeds == 1:
        advice.append("Give `--seeds 5`, so that the best are trained with other seeds too.")
    return page.Answer("good", f"{_said(values[best.trial])}: {_name(spec)} {_measured(spec, best)}.", why, advice)


def _at_ends(spec: Spec, values: list[dict[str, Any]], best: Final) -> Iterator[str]:
    """Yield the ranges at whose end, or next to it, the best value is."""
    for each in spec.space:
        if not isinstance(each, Choice):
            height = figures.height(each, values[best.trial][each.name])
            if not 0.05 <= height <= 0.95:
                yield f"`{each.name}`"


def _facts(spec: Spec, outcomes: Outcomes, finals: list[Final]) -> list[tuple[str, str]]:
    searched, _ = plan.steps_taken(outcomes)
    facts = [(_name(spec), _measured(spec, finals[0])), ("trials", str(spec.trials))]
    rungs = plan.rungs(spec)
    if len(rungs) > 1:
        facts.append(("of them to the last epoch", str(rungs[-1].trials)))
    return [*facts, ("steps, of full trainings", percent(searched / plan.steps_in_full(spec, outcomes)))]


def _sections(
    spec: Spec, outcomes: Outcomes, finals: list[Final], values: list[dict[str, Any]]
) -> Iterator[page.Section]:
    first = {trial: value for trial in range(spec.trials) if (value := outcomes[Job(trial, 0)].value) is not None}
    epoch = plan.rungs(spec)[0].epochs
    yield page.Section(
        "What was tried", f"Each line is a trial: its values, and at the bottom its {_name(spec)} after epoch {epoch}, "
        "where all can be compared. The stronger, the better.",
        figures.coordinates(spec, values, first, finals[0].trial),
    )  # fmt: skip
    if shares := matters(spec, outcomes, values):
        yield page.Section(
            "What mattered", f"Which parameter decides whether a trial is among the best tenth after epoch {epoch} "
            "(PED-ANOVA, Watanabe et al. 2023, arXiv 2304.10255). It says nothing of what was not varied.",
            figures.importance(shares),
        )  # fmt: skip
    if len(plan.rungs(spec)) > 1:
        yield page.Section(
            "Rung by rung", f"At each rung the best of the trials, about one in {spec.eta}, went on from where they "
            "were. Lines that cross are trials that a shorter look would have misjudged.",
            figures.curves(spec, outcomes, finals[0].trial),
        )  # fmt: skip
    if spec.seeds > 1:
        rows = [
            (f"trial {each.trial}", _said(values[each.trial]), _measured(spec, each), _shown(spec, each.searched))
            for each in finals
        ]
        yield page.Section(
            "The finalists", f"Trained from the start with {spec.seeds} seeds that nothing was chosen by; what was "
            "found in the search is flattered by having been chosen.",
            page.table("The finalists", ("finalist", "values", "over seeds", "in the search"), rows), wide=True,
        )  # fmt: skip
    more = f" The first {ROWS} are shown; all are in study.json." if spec.trials > ROWS else ""
    yield page.Section(
        "All trials", f"With what each came to at each rung that it reached.{more}", _table(spec, outcomes, values),
        wide=True,
    )  # fmt: skip


def _table(spec: Spec, outcomes: Outcomes, values: list[dict[str, Any]]) -> Any:
    rungs = plan.rungs(spec)
    header = ["trial", *(each.name for each in spec.space), *(f"epoch {rung.epochs}" for rung in rungs), "failed"]
    rows = []
    for trial, mine in list(enumerate(values))[:ROWS]:
        came = [outcomes.get(Job(trial, rung)) for rung in range(len(rungs))]
        shown = ["–" if each is None or each.value is None else _shown(spec, each.value) for each in came]
        said = next((each.sentence for each in came if each and each.sentence), "")
        rows.append([trial, *(_plain(each) for each in mine.values()), *shown, said])
    return page.table("All trials", header, rows)


def _came(outcomes: Outcomes, trial: int) -> dict[str, Any]:
    """Return what came of a trial, by rung and repeat."""
    mine = sorted((job, each) for job, each in outcomes.items() if job.trial == trial)
    return {f"{job.rung}/{job.repeat}": dict(each.__dict__) for job, each in mine}


def _said(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in values.items())


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _name(spec: Spec) -> str:
    return spec.measure.replace("_", " ")


def _shares(spec: Spec) -> bool:
    """Tell whether the measure is a share, which is shown in percent."""
    return spec.measure.endswith("accuracy")


def _shown(spec: Spec, value: float) -> str:
    return percent(value) if _shares(spec) else f"{value:.4f}"


def _amount(spec: Spec, value: float) -> str:
    return f"{100 * value:.2f} points".replace("-", "−") if _shares(spec) else f"{value:.4f}"


def _measured(spec: Spec, final: Final) -> str:
    """Return the mean of a finalist, with its standard deviation over the seeds."""
    if not final.values:
        return _shown(spec, final.mean)
    spread = f"{100 * final.deviation:.2f}" if _shares(spec) else f"{final.deviation:.4f}"
    return f"{_shown(spec, final.mean)} ± {spread} over {count(len(final.values), 'seed')}"
