"""What is wrong with what a trial left: every function returns sentences, none if all is well."""

import base64
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from components.contract import artifact
from components.contract.errors import StepError
from components.contract.store.client import Store
from tests.soak.ground import Run
from tests.soak.machine import in_session

TRACES = ("Traceback (most recent call last)", "Exception ignored in", "Fatal Python error")
# A C library that finds no memory ends the process itself, and says so.
OWN_END = ("OpenBLAS", "bad_alloc", "Resource temporarily unavailable")


def of_ending(step: str, run: Run, right: Collection[int]) -> Iterator[str]:
    """Judge the exit code, and that a failure is one sentence at the end of standard error."""
    if run.hung:
        yield f"it hangs: it was killed after {run.seconds:.0f} s"
        return
    if run.code not in right and not ended_by_a_library(run):
        yield f"it ended with {run.code}, right is {' or '.join(map(str, right))}"
    for trace in TRACES:
        if trace in run.errors:
            yield f"there is {trace!r} on standard error"
    lines = run.errors.splitlines()
    said = [line for line in lines if line.startswith(f"{step}: ")]
    if run.code == 143 and said[-1:] != [f"{step}: terminated"]:
        yield f"it does not say that it was terminated, but {said}"
    if 0 < run.code < 128 and not ended_by_a_library(run) and (said[-1:] != lines[-1:] or not said):
        yield f"standard error does not end in a sentence of {step}, but in {lines[-1:]}"
    if 0 < run.code < 128 and len(said) > 1:
        yield f"there are {len(said)} sentences, not one: {said}"


def ended_by_a_library(run: Run) -> bool:
    """Tell whether a C library ended the process, as it found no memory, before Python could clean up."""
    return run.code != 0 and any(word in run.errors for word in OWN_END)


def of_places(
    base: str, right: Mapping[str, Collection[str]], settings: Mapping[str, str], *, whole: bool
) -> Iterator[str]:
    """Judge the artifacts below `base`, read straight from the store, by the digests that are right for each output.

    A place without a manifest is nothing yet, and right unless the outputs are to be `whole`; a manifest promises
    everything, a checkpoint's too.
    """
    others = [name for name in manifests(base, settings) if name not in right]
    for output, place in {name: f"{base}/{name}" for name in (*right, *others)}.items():
        try:
            found = digest_at(place, settings)
        except StepError as error:
            yield f"half-published: {error}"
            continue
        if found is None and whole:
            yield f"{output} is not there"
        elif found is not None and found not in right.get(output, (found,)):
            yield f"{output} has other bytes than an undisturbed run makes: {found}"


def manifests(base: str, settings: Mapping[str, str]) -> list[str]:
    """Return the names, relative to `base`, of what looks like a finished artifact."""
    if base.startswith("s3://"):
        names = Store.from_environment(settings).names(base)
    else:
        names = [path.relative_to(base).as_posix() for path in Path(base).rglob(artifact.MANIFEST)]
    # What a folder that is still being staged holds is not at its place.
    return [name.removesuffix(f"/{artifact.MANIFEST}") for name in names
            if name.endswith(f"/{artifact.MANIFEST}") and "/.tapeline-" not in f"/{name}"]  # fmt: skip


def digest_at(place: str, settings: Mapping[str, str]) -> str | None:
    """Return the digest of an artifact once each file of it is verified; None where there is none."""
    if not place.startswith("s3://"):
        if not Path(place).exists():
            return None
        artifact.verify(Path(place))
        return artifact.digest(Path(place))
    store = Store.from_environment(settings)
    if store.manifest(place) is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        store.fetch(place, Path(scratch))
        return artifact.digest(Path(scratch))


def of_leftovers(temporary: Path, places: Path) -> Iterator[str]:
    """Judge that a step has cleaned up: nothing among the temporary files, no staging folder beside the outputs."""
    left = [*temporary.glob("*"), *places.rglob(".tapeline-*")]
    if left:
        yield f"left behind: {', '.join(sorted(path.name for path in left))}"


def of_processes(session: int) -> Iterator[str]:
    """Judge that no process of a step is alive."""
    if left := in_session(session):
        yield f"{len(left)} processes are still there"


def of_secrets(
    folders: Sequence[Path], secrets: Sequence[str], uris: Sequence[str], settings: Mapping[str, str]
) -> Iterator[str]:
    """Judge that no secret is in any file below the folders, nor in any object below the prefixes."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.from_environment(settings)
        for number, uri in enumerate(uris):
            for index, name in enumerate(store.names(uri)):
                store.read(f"{uri}/{name}", Path(scratch) / f"{number}-{index}")
        for folder in (*folders, Path(scratch)):
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink() and any(holds(path.read_bytes(), each) for each in secrets):
                    yield f"the secret is in {path.name}"


def holds(text: bytes, secret: str) -> bool:
    """Tell whether a secret is in a text, as it is, quoted, or in base64."""
    return any(form in text for form in (secret.encode(), quote(secret).encode(), base64.b64encode(secret.encode())))
