"""The devices that share the steps."""

import os

import tensorflow as tf

from components.contract.errors import BadInput


def choose_devices(device: str, replicas: int) -> tf.distribute.Strategy:
    """Return what shares the steps among the devices. Hide the GPUs for `cpu`; refuse `gpu` where there is none."""
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
    if replicas == 1:
        return tf.distribute.get_strategy()
    if 0 < len(gpus) < replicas:
        raise BadInput(f"replicas: {replicas}, but TensorFlow sees {len(gpus)} GPUs here; ask for a node with more")
    if not gpus:
        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * replicas)
    return tf.distribute.MirroredStrategy([f"{'GPU' if gpus else 'CPU'}:{i}" for i in range(replicas)])
