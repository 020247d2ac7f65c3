"""Run one step: fetch its inputs, do its work in a staging place, seal and publish its outputs."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from components.contract import artifact, ending, kubeflow, later, location, rendezvous, tracking
from components.contract.declaration import Component, Metadata, Output, Parameters, flag
from components.contract.errors import BadInput, Blocked


def run(
    component: Component,
    parameters: Parameters,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    *,
    bare_files: bool = False,
) -> Metadata:
    """Run `component` with artifacts at the given locations; every output appears whole, or none does.

    With `bare_files` an output that is one file is placed as that file, without a folder and manifest around it.
    Returns what the work says of its outputs. Raises `BadInput` for an input or output that was not given or is not
    fit, and whatever the work raises; with `Blocked`, the outputs that it names appear nevertheless. Of several
    processes that do the work together the first one alone publishes (rendezvous.py).
    """
    _require("input", [item.name for item in component.inputs if not item.optional], inputs)
    _require("output", [item.name for item in component.outputs], outputs)
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(_scratch())
        paths = stack.enter_context(_fetched(component, inputs, scratch))
        if rendezvous.number():
            _assist(component, parameters, paths, scratch)
            return {}
        staged = {item.name: stack.enter_context(location.staging(outputs[item.name])) for item in component.outputs}
        blocked: Blocked | None = None
        metadata: Metadata = {}
        try:
            metadata = _work(component, parameters, paths, staged)
        except Blocked as error:
            blocked = error
        published = [item for item in component.outputs if blocked is None or item.name in blocked.outputs]
        _seal(component, published, parameters, paths, staged, metadata)
        if lost := ending.raised():  # in a library that went on with half of its work
            raise lost
        note = None if blocked else tracking.note(component, parameters, staged, outputs, metadata)
        for item in published:
            if bare_files and item.file:
                location.place(staged[item.name] / item.file, Path(outputs[item.name]))
            else:
                location.publish(staged[item.name], outputs[item.name])
        if blocked is not None:
            raise blocked
        if note:
            note.send()
        rendezvous.finish()
    return metadata


def check(component: Component, parameters: Parameters, inputs: Mapping[str, str]) -> None:
    """Look whether `component` could do its work; inputs that are not given are None. Nothing is published.

    Raises `BadInput` for what does not fit.
    """
    with _scratch() as scratch, _fetched(component, inputs, scratch) as given:
        component.load_work(component.check)(
            parameters, **{item.name: given.get(item.name) for item in component.inputs}
        )


def run_for_kubeflow(component: Component, executor_input: str) -> None:
    """Run `component` as Kubeflow's launcher calls it: local paths, and an executor output file at the end."""
    executor = kubeflow.parse(component, executor_input)
    parameters = component.parameters.checked(executor.parameters)
    # Kubeflow's UI shows HTML only from a single file, so there the file itself is the artifact.
    metadata = run(component, parameters, executor.inputs, executor.outputs, bare_files=True)
    kubeflow.write_output(executor, metadata)


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Give a folder for what is fetched and what libraries leave among the temporary files; gone afterwards."""
    before = tempfile.tempdir
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise BadInput(f"there is no place for temporary files: {error.strerror}; set TMPDIR to one") from None
    with ending.temporary_folder() as folder:
        tempfile.tempdir = str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = before


@contextlib.contextmanager
def _fetched(component: Component, inputs: Mapping[str, str], scratch: Path) -> Iterator[dict[str, Path]]:
    """Give the folders of the inputs; afterwards no file of theirs is fetched any more."""
    put_off = {item.name: item.later for item in component.inputs}
    paths: dict[str, Path] = {}
    try:
        for name, place in inputs.items():
            paths[name] = location.fetch(place, scratch / name, put_off.get(name, ()))
        yield paths
    finally:
        for path in paths.values():
            later.forget(path)


def _assist(component: Component, parameters: Parameters, paths: Mapping[str, Path], scratch: Path) -> None:
    """Do the work together with the process that publishes it."""
    staged = {item.name: scratch / "of no use" / item.name for item in component.outputs}
    for folder in staged.values():
        folder.mkdir(parents=True)
    _work(component, parameters, paths, staged)
    rendezvous.finish()


def _work(
    component: Component, parameters: Parameters, inputs: Mapping[str, Path], staged: Mapping[str, Path]
) -> Metadata:
    paths: dict[str, Path | None] = {item.name: inputs.get(item.name) for item in component.inputs}
    paths |= {item.name: _target(item, staged[item.name]) for item in component.outputs}
    return component.load_work()(parameters, **paths) or {}


def _seal(  # noqa: PLR0913 - what a manifest says, and of which outputs
    component: Component,
    published: Sequence[Output],
    parameters: Parameters,
    inputs: Mapping[str, Path],
    staged: Mapping[str, Path],
    metadata: Metadata,
) -> None:
    digests = {
        item.name: artifact.digest(inputs[item.name])
        for item in component.inputs
        if item.name in inputs and not item.operational
    }
    for item in published:
        if (staged[item.name] / artifact.MANIFEST).is_file():
            continue  # another process of this step has made and sealed it
        if item.file and not (staged[item.name] / item.file).is_file():
            raise RuntimeError(f"{component.name} did not write {item.file} of its output {item.name}")
        artifact.seal(
            staged[item.name],
            component=component.name,
            output=item.name,
            parameters=parameters.provenance(),
            inputs=digests,
            packages=component.packages,
            metadata=metadata.get(item.name),
        )


def _target(item: Output, folder: Path) -> Path:
    return folder / item.file if item.file else folder


def _require(what: str, names: list[str], given: Mapping[str, str]) -> None:
    if missing := [flag(name) for name in names if not given.get(name)]:
        raise BadInput(f"missing {what}: {', '.join(missing)} (a path or an s3://bucket/prefix)")
