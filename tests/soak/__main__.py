"""Soak the steps in faults: make soak ARGS="--trials 500 --seed 0".

A line for each trial; one that is wrong is repeated alone, with everything shown, by --trial N --seed S. At the end a
table by kind, as Markdown. Ends with 1 if anything is wrong.
"""

import argparse
import collections
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from components.conftest import SERVERS
from components.contract.command import Parser, guard
from components.contract.errors import StepError
from tests.soak import judge
from tests.soak.ground import BUCKET, GOOD, STEPS, Ground, ground
from tests.soak.kills import kills
from tests.soak.kinds import KINDS, drawn
from tests.soak.trial import Report, perform


def main() -> None:
    """Parse the command line and run; a signal ends it once the trials that are under way have ended."""
    parser = Parser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--trials", type=int, default=100, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first one (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="what the draws follow from (default: %(default)s)")
    parser.add_argument("--trial", type=int, help="only the one of this number, with everything shown")
    parser.add_argument("--kind", default="", help="only those of kinds that begin so")
    parser.add_argument("--steps", default=",".join(STEPS), help="only of these (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=0, help="how often to kill one training, besides")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="how many at a time")
    guard("soak", lambda: run(parser.parse_args()))


def run(options: argparse.Namespace) -> None:
    """Perform the trials, and print a line for each and the table. Raises `StepError` if anything is wrong."""
    began, steps = time.monotonic(), options.steps.split(",")
    numbers = range(options.first, options.first + options.trials) if options.trial is None else [options.trial]
    reports: list[Report] = []
    wrong: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="tapeline-soak-") as folder, ground(Path(folder), steps) as made:
            print(f"stores: {', '.join(SERVERS)}; the good artifacts took {time.monotonic() - began:.0f} s", flush=True)
            trials = [drawn(number, options.seed, made, steps) for number in numbers]
            trials = [trial for trial in trials if trial.kind.startswith(options.kind)]
            with ThreadPoolExecutor(options.jobs) as pool:
                for report in pool.map(lambda trial: perform(made, trial), trials):
                    reports.append(report)
                    print(line(report), flush=True)
                    if options.trial is not None:
                        show(report)
            wrong += good_is_lost(made)
            if options.kills:
                said = kills(made, options.kills, options.seed)
                print(said.sentence, flush=True)
                wrong += said.wrong
    finally:  # also of those that there were when it was ended
        print(*table(reports), sep="\n")
        print(f"{len(reports)} trials in {time.monotonic() - began:.0f} s, {options.jobs} at a time")
    wrong += [f"{number} trials are wrong" for number in [sum(bool(report.wrong) for report in reports)] if number]
    if wrong:
        raise StepError("; ".join(wrong))


def line(report: Report) -> str:
    """Return what is said of a trial."""
    trial, fault = report.trial, report.trial.fault
    what = [f"{trial.step} on {'folders' if trial.local else trial.store}"]
    if fault:
        what.append(f"{fault.method} {fault.key or 'anything'} {fault.action}, struck {report.struck}")
    what += [f"{name} {value}" for name, value in (trial.machine or {}).items()]
    ended = (
        report.skipped
        or f"{' then '.join(str(run.code) for run in report.runs)} in {sum(run.seconds for run in report.runs):.0f} s"
    )
    lines = [f"{trial.number} {report.outcome}: {trial.kind}: {'; '.join(what)}: {ended}"]
    return "\n".join(
        [*lines, *(f"    WRONG: {sentence} (--trial {trial.number} --seed {trial.seed})" for sentence in report.wrong)]
    )


def show(report: Report) -> None:
    """Print everything of a trial."""
    print(report.trial)
    for run in report.runs:
        print(f"--- exit code {run.code} after {run.seconds:.1f} s\n{run.output}\n--- standard error\n{run.errors}")


def good_is_lost(made: Ground) -> Iterator[str]:
    """Yield what is wrong with the good artifacts after all trials: nobody may have touched them."""
    for name, settings in made.stores.items():
        right = {output: [digest] for output, digest in made.digests.items()}
        yield from (f"{name}: {each}" for each in judge.of_places(f"s3://{BUCKET}/{GOOD}", right, settings, whole=True))


def table(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the lines of a Markdown table by kind."""
    yield "| fault | trials | tried again and passed | ended with the right code | without effect | skipped | wrong |"
    yield "|---|---|---|---|---|---|---|"
    counts: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in KINDS}
    for report in reports:
        counts[report.trial.kind][report.outcome] += 1
    total: collections.Counter[str] = sum(counts.values(), collections.Counter())
    for kind, count in [*counts.items(), ("all", total)]:
        if count.total():
            cells = [count.total(), *(count[outcome] for outcome in ("passed", "ended", "none", "skipped", "wrong"))]
            yield f"| {kind} | {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
