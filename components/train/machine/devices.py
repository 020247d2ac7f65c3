"""The devices that share the steps."""

import json
import os
import socket

import tensorflow as tf

from components.contract.errors import BadInput, PeerLost
from components.contract.rendezvous import ALONE, Group


def choose_devices(device: str, replicas: int, group: Group = ALONE) -> tf.distribute.Strategy:
    """Return what shares the steps among the devices, of all processes of the group.

    Hide the GPUs for `cpu`; refuse `gpu` where there is none.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise BadInput("device: gpu, but TensorFlow sees none here; ask for a node with one, or give auto or cpu")
    if device == "auto" and not gpus and os.environ.get("NVIDIA_VISIBLE_DEVICES", "none") not in ("none", "void", ""):
        # Set for a container that was given a GPU, which costs what it costs whether it is used or not.
        print(
            "warning: a GPU was set aside for this step, but TensorFlow sees none and trains on the processor; give "
            "train the image train-gpu, or ask for no GPU",
            flush=True,
        )
    if device == "cpu" and gpus:
        tf.config.set_visible_devices([], "GPU")
        gpus = []
    for gpu in gpus:  # what a step needs, and not at once all that there is, which others may need
        tf.config.experimental.set_memory_growth(gpu, True)
    if group.count > 1:
        return _of_all(group, gpus, replicas)
    if replicas == 1:
        return tf.distribute.get_strategy()
    if 0 < len(gpus) < replicas:
        raise BadInput(f"replicas: {replicas}, but TensorFlow sees {len(gpus)} GPUs here; ask for a node with more")
    if not gpus:
        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * replicas)
    return tf.distribute.MirroredStrategy([f"{'GPU' if gpus else 'CPU'}:{i}" for i in range(replicas)])


def _of_all(group: Group, gpus: list[tf.config.PhysicalDevice], replicas: int) -> tf.distribute.Strategy:
    """Return what shares the steps among the devices of all processes, once they have met.

    Sums are added up in the order of the devices, in a ring, as those of one process are: the same bytes either way.
    """
    if not gpus and replicas > 1:
        raise BadInput(
            f"replicas: {replicas} parts of the processor in each of {group.count} workers; without GPUs give more "
            "workers, and replicas=1"
        )
    if 0 < len(gpus) < replicas:
        raise BadInput(f"replicas: {replicas}, but TensorFlow sees {len(gpus)} GPUs here; ask for nodes with more")
    if gpus:
        tf.config.set_visible_devices(gpus[:replicas], "GPU")
    addresses = group.meet(_free_port())
    task = {"type": "worker", "index": group.number}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(implementation=kinds.NCCL if gpus else kinds.RING)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except (tf.errors.UnknownError, tf.errors.UnavailableError) as error:
        raise PeerLost(f"no connection among the workers at {', '.join(addresses)}: {error.message}") from None


def _free_port() -> int:
    """Return a port that nobody listens on; TensorFlow takes it a moment later."""
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])
