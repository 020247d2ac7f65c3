"""The zoo of data sets: each spoilt in one way, or sound, and what the rules of ingest's validation say of it.

Printed is, for each rule: in how many of the data sets that must have it it was found (recall), and how many of its
findings were in data sets that must or may have it (precision). Without `--held-out` only those are looked at on which
the rules' limits were set, with it only the others.

uv run python -m benchmarks.data_zoo --held-out --seeds 3
"""

import argparse
from collections import Counter

import numpy as np

from benchmarks.data_animals import BROKEN, HELD_OUT, Animal
from benchmarks.data_sound import FROM_THE_CACHE, MNIST, SOUND, mnist, small_digits
from benchmarks.spoil import Sets
from components.artifacts.dataset import Split
from components.ingest.schema import Reference, infer
from components.ingest.validation import Finding, inspect, rules, validate

DIGITS = tuple("0123456789")


def look_at(sets: Sets, names: tuple[str, ...] = (), reference: Reference | None = None) -> list[Finding]:
    """Return what the rules find in a data set."""
    splits = {name: Split(*arrays) for name, arrays in sets.items()}
    classes = 1 + max(int(split.labels.max()) for split in splits.values())
    origins = {name: [f"{name}.npz row {i}" for i in range(len(split.labels))] for name, split in splits.items()}
    return validate(inspect(splits, origins, names or DIGITS[:classes], reference))


def watch(animal: Animal, sets: Sets, seed: int) -> list[Finding]:
    """Spoil a data set of digits, and return what the rules find."""
    before = inspect({name: Split(*arrays) for name, arrays in sets.items()}, {}, DIGITS)
    reference = Reference("before", infer(before.looks, DIGITS), before.looks) if animal.reference else None
    animal.change(sets, np.random.default_rng(seed))
    return look_at(sets, animal.names or DIGITS, reference)


def main() -> None:
    """Look at all of them, and print what was found, then the table of the rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--held-out", action="store_true", help="those on which no limit was set")
    parser.add_argument("--only", default="", help="part of the names of those to look at")
    options = parser.parse_args()
    needed, found_there, found, right = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    bases = {"digits": small_digits} | ({"MNIST": lambda: mnist(20_000, 6000)} if MNIST.is_dir() else {})
    for name, animal in BROKEN.items():
        if name.startswith(HELD_OUT) != options.held_out or options.only not in name:
            continue
        for base, make in bases.items():
            for seed in range(options.seeds):
                findings = {each.rule: each for each in watch(animal, make(), seed)}
                needed.update(animal.must)
                found_there.update(animal.must & findings.keys())
                serious = {rule for rule, each in findings.items() if each.severity != "info" or rule in animal.must}
                found.update(serious)
                right.update(serious & (animal.must | animal.may))
                missing, wrong = animal.must - findings.keys(), serious - animal.must - animal.may
                if missing or wrong:
                    print(f"{name} ({base}, {seed}): MISSING {sorted(missing)}; WRONG "
                          f"{[findings[rule].sentence for rule in sorted(wrong)]}")  # fmt: skip
    print("\n| rule | severity | must have it | found | findings | right |\n|---|---|---|---|---|---|")
    for rule in rules():
        counts = (needed[rule.id], found_there[rule.id], found[rule.id], right[rule.id])
        print(f"| `{rule.id}` | {rule.severity} | {' | '.join(map(str, counts))} |")
    sound = alarms = 0
    for name, make in (SOUND | (FROM_THE_CACHE if MNIST.is_dir() else {})).items():
        if name.startswith(HELD_OUT) == options.held_out and options.only in name:
            serious_ones = [each for each in look_at(make()) if each.severity != "info"]
            sound, alarms = sound + 1, alarms + bool(serious_ones)
            for each in serious_ones:
                print(f"{name}: {each.rule}: {each.sentence}")
    print(f"\nsound data sets with an error or a warning: {alarms} of {sound}")


if __name__ == "__main__":
    main()
