"""Which artifacts make up one run: several tries of a step may have left some, and steps that were cached none.

Each manifest names the digests of what its step was given, so the artifacts of a run hang together by themselves.
"""

from collections.abc import Iterable, Mapping, Sequence

from components.compare.shelf import Found, digests

DATASET, MODEL, GRADIENTS, TRAINED = "ingest/dataset", "train/trained_model", "train/gradients", "train/metrics"
TABLES, JUDGED = "export/gradient_tables", "evaluate/metrics"
# What is compared, the last first: what an earlier step made is the one that a later one was given.
KINDS = (JUDGED, TABLES, MODEL, GRADIENTS, TRAINED, DATASET)


def choose(found: Sequence[Found]) -> tuple[dict[str, Found], list[str]]:
    """Return the artifacts of one run by their kinds, of all that lie where it is; and what is to be said of that."""
    chosen: dict[str, Found] = {}
    notes: list[str] = []
    for kind in KINDS:
        made = list(digests(each for each in found if each.kind == kind).values())
        given = {digest for each in chosen.values() for digest in each.manifest.inputs.values()}
        if fitting := [each for each in made if each.digest in given]:
            made = fitting
        elif MODEL in chosen and kind in (GRADIENTS, TRAINED):
            made = [each for each in made if alike(each, chosen[MODEL])]
        elif JUDGED in chosen and kind in (MODEL, DATASET):
            made = []  # another one than was judged
        if len(made) > 1:
            notes.append(f"It has {len(made)} different artifacts {kind}; the last one is taken.")
        if made:
            chosen[kind] = max(made, key=lambda each: each.place)
    return chosen, notes


def lacking(chosen: Mapping[str, Found]) -> dict[str, str]:
    """Return the digests of what later steps were given and is not there, by kind: cached steps leave it elsewhere."""
    names = {"dataset": DATASET, "trained_model": MODEL, "gradients": GRADIENTS}
    said = {name: digest for each in reversed(list(chosen.values())) for name, digest in each.manifest.inputs.items()}
    return {names[name]: digest for name, digest in said.items() if name in names and names[name] not in chosen}


def around(start: Found, every: Iterable[Found]) -> list[Found]:
    """Return the artifacts of the run that `start` is of: what it was made from, and what was made from that."""
    known = list(every)
    by_digest = digests(known)
    run = {start.digest: start}
    queue = [start]
    for each in queue:  # upwards
        for digest in each.manifest.inputs.values():
            if digest in by_digest and digest not in run:
                run[digest] = by_digest[digest]
                queue.append(by_digest[digest])
    learned = [each for each in run.values() if each.manifest.component == "train"]
    run |= {other.digest: other for other in known for each in learned if alike(other, each)}
    own = {each.digest for each in run.values() if each.kind != DATASET}
    run |= {other.digest: other for other in known if own & {*other.manifest.inputs.values()}}
    return list(run.values())


def alike(one: Found, other: Found) -> bool:
    """Tell whether two artifacts are of the same work: the same step with the same inputs and parameters."""
    ours, theirs = one.manifest, other.manifest
    same = ours.component == theirs.component and ours.inputs == theirs.inputs
    return same and ours.parameters == theirs.parameters and ours.versions == theirs.versions
