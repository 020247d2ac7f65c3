"""The folder of a model: written whole, and read back with a look at whether it still is what was written."""

from dataclasses import asdict, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from components.artifacts.model import keras_file, probe, serving
from components.artifacts.model.spec import Spec, channels_of, sentence
from components.contract import quiet
from components.contract.artifact import canonical_json
from components.contract.errors import BadInput
from components.models import MODELS

with quiet.importing():
    import keras
    import tensorflow as tf

NETWORK, SPEC, PROBE, SAVED = "model.keras", "model.json", "probe.safetensors", "saved_model"


def write(network: keras.Model, spec: Spec, folder: Path) -> None:
    """Write all files of the artifact into `folder`; the same run gives the same bytes.

    Raises `BadInput` for a network that no graph can hold, which no server could run.
    """
    spec = replace(spec, precision=network.dtype_policy.name)
    keras_file.save(network, folder / NETWORK)
    (folder / SPEC).write_bytes(canonical_json(asdict(spec)))
    serving.export(network, spec, folder / SAVED)
    probe.record(network, spec, folder / PROBE)


def read(folder: Path) -> tuple[keras.Model, Spec]:
    """Return the network in `folder`, and what it takes; no code that is in the folder is run.

    First as model.keras describes it, with the classes of the file of components/models that built it; where that does
    not work, or not give the same answers, that file builds it again and it gets its weights. Raises `BadInput` that
    says what to do.
    """
    path = folder / NETWORK
    if not path.is_file():
        raise BadInput(f"{folder} has no {NETWORK}; give the trained_model that train made")
    if not (folder / SPEC).is_file():
        return _without_spec(path)
    if not (folder / PROBE).is_file():
        raise BadInput(f"{folder} has {SPEC} but no {PROBE}; it is not whole: fetch it again, or train again")
    spec = _spec(folder / SPEC)
    problems = []
    for attempt in (keras_file.described, keras_file.rebuilt):
        try:
            network = attempt(path, spec)
            problem = _changed(network, spec, folder)
        except Exception as error:  # noqa: BLE001 - whatever a class says that is given another's configuration
            problem = sentence(error)
        if not problem:
            return network, spec
        problems.append(problem)
    raise BadInput(_remedy(path, spec, *problems))


def check(folder: Path) -> Spec:
    """Read the artifact and run its SavedModel; raise `BadInput` unless both give the answers that were recorded."""
    network, spec = read(folder)
    if not (folder / SAVED).is_dir():
        raise BadInput(f"{folder} has no {SAVED}; train again, and it is written")
    images, logits = probe.recorded(folder / PROBE)
    try:
        served = serving.answers(folder / SAVED, images)
    except Exception as error:
        raise BadInput(f"{folder / SAVED} does not run without the network's Python code: {sentence(error)}") from error
    wanted = tf.nn.softmax(probe.logits(network, spec, images)).numpy()
    if logits is not None and (problem := probe.difference(served["probabilities"], wanted, network)):
        raise BadInput(f"{folder / SAVED} and {folder / NETWORK} are not the same network: {problem}")
    return spec


def _spec(path: Path) -> Spec:
    try:
        spec: Spec = TypeAdapter(Spec).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "text"
        raise BadInput(f"{path} is not what train writes: {where}: {first['msg']}; train again") from None
    return spec


def _without_spec(path: Path) -> tuple[keras.Model, Spec]:
    """Read a model that has only model.keras, as they were before there was model.json."""
    try:
        network = keras_file.described(path, Spec("", (0, 0), 0, 0))
        shapes = network.input_shape, network.output_shape
    except Exception as error:  # noqa: BLE001 - as above
        raise BadInput(
            f"{path} is not a model that Keras can load: {sentence(error)}; train it again, and {SPEC} will say more"
        ) from None
    match shapes:
        case (_, int(height), int(width), *_), (_, int(classes)):
            image_shape = height, width
            return network, Spec("", image_shape, classes, channels_of(network, image_shape))
    raise BadInput(f"{path} takes {shapes[0]} and gives {shapes[1]}, not images [n, h, w] and logits [n, classes]")


def _changed(network: keras.Model, spec: Spec, folder: Path) -> str:
    """Return in words how the network's answers differ from those that were recorded, or nothing."""
    images, wanted = probe.recorded(folder / PROBE)
    found = probe.logits(network, spec, images)  # even if there is nothing to compare, it must run
    return probe.difference(found, wanted, network) if wanted is not None else ""


def _remedy(path: Path, spec: Spec, described: str, rebuilt: str) -> str:
    """Return what is wrong and what to do, from what was said when the file was read in each of the two ways."""
    if spec.model not in MODELS:
        file = f"components/models/{spec.model.replace('-', '_')}.py"
        return f"{path} is not a model that Keras can load without {file}: {described}; put that file there"
    file = MODELS[spec.model].replace(".", "/") + ".py"
    return (
        f"{path} and {file} no longer fit. As the model describes itself: {described}. "
        f"As built anew: {rebuilt}. Restore the files as they were when it was trained, or train again"
    )
