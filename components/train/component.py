"""What the train step is."""

import math
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from components.artifacts.record.columns import LEVELS
from components.artifacts.splits import OF_SPLITS
from components.contract.declaration import Component, Input, Output, Parameters, parameter
from components.contract.plugins import Plugins, with_parameters_of
from components.models import MODELS

_HERE = Path(__file__).parent
# Each of these is a file in a folder; its name is the file's.
STEPS = Plugins("step", "components.train.steps", _HERE / "steps")
LOSSES = Plugins("loss", "components.train.losses", _HERE / "losses")
OPTIMIZERS = Plugins("optimizer", "components.train.optimizers", _HERE / "optimizers")
AUGMENTATIONS = Plugins("augment", "components.train.augmentations", _HERE / "augmentations")
TRANSFORMS = Plugins("transform", "components.train.transforms", _HERE / "transforms")


@with_parameters_of(MODELS, AUGMENTATIONS, STEPS, LOSSES, OPTIMIZERS, TRANSFORMS)
class TrainParameters(Parameters):
    """How the model is trained."""

    model: str = parameter("simple", "Model to train: a file in components/models", choices=MODELS.names)
    epochs: int = parameter(5, "Passes over the training images", ge=1, le=10_000)
    pause_at: int = parameter(
        0, "Epoch after which it ends for now, with a checkpoint to go on from; 0: none, all epochs are done", ge=0
    )
    batch_size: int = parameter(128, "Images in a batch", ge=1, le=65_536)
    shuffle_window: int = parameter(
        192, "MiB of training images that are shuffled together and read ahead; of up to three times as many all are",
        ge=1, le=2**20,
    )  # fmt: skip
    accumulate: int = parameter(1, "Batches whose mean gradient makes one step of the optimizer", ge=1, le=64)
    augment: str = parameter(
        "none", "How training images are changed by chance, in this order: files in components/train/augmentations",
        several=AUGMENTATIONS.names,
    )  # fmt: skip
    augment_share: float = parameter(
        0.8,
        "Share of the images whose pixels are moved (elastic, rotate, scale, shift); the others stay sharp",
        gt=0,
        le=1,
    )
    step: str = parameter("plain", "Way to find gradients: a file in components/train/steps", choices=STEPS.names)
    loss: str = parameter("cross-entropy", "Loss: a file in components/train/losses", choices=LOSSES.names)
    class_weight: str = parameter(
        "none", "Weight of an image in the loss; balanced: by how rare its class is", choices=("none", "balanced")
    )
    optimizer: str = parameter(
        "adam",
        "What turns gradients into updates: a file in components/train/optimizers",
        choices=OPTIMIZERS.names,
    )
    learning_rate: float = parameter(0.001, "Learning rate; the highest one of a schedule", gt=0, le=100)
    schedule: str = parameter(
        "cosine", "Learning rate over time; one-cycle rises for a quarter, then falls as a cosine",
        choices=("constant", "cosine", "one-cycle"),
    )  # fmt: skip
    transform: str = parameter(
        "none", "What is done to the gradients: a file in components/train/transforms", choices=TRANSFORMS.names
    )
    clip_norm: float = parameter(0.0, "Largest global norm of the gradients; larger ones are scaled; 0: any", ge=0)
    precision: str = parameter(
        "float32", "What the model computes in; weights, gradients and updates are float32 in any case",
        choices=("float32", "mixed-bfloat16", "mixed-float16"),
    )  # fmt: skip
    loss_scale: float = parameter(
        1.0, "Factor on the loss while gradients are computed, a power of two; 1024 keeps float16 from underflow", ge=1,
        le=2**24,
    )  # fmt: skip
    gradient_level: str = parameter(
        "full", "What is kept of the gradients: nothing; norms at each step; also statistics; also histograms; also "
        "whole gradients, these three at the steps of their schedules",
        choices=LEVELS,
    )  # fmt: skip
    stats_every: int = parameter(32, "Statistics at every Nth step; 0: only at those of `geometric`", ge=0)
    hist_every: int = parameter(64, "Histograms at every Nth step; 0: only at those of `geometric`", ge=0)
    snapshot_every: int = parameter(0, "Whole gradients at every Nth step; 0: only at those of `geometric`", ge=0)
    geometric: int = parameter(4, "Every schedule has steps 1, N, N², … too; 0: none of them", ge=0, le=1000)
    diverged: str = parameter(
        "fail", "When the loss is not a finite number: fail, or stop and publish what there is, for export to explain",
        choices=("fail", "publish"),
    )  # fmt: skip
    seed: int = parameter(0, "Seed of everything random: the split, the weights, the order", ge=0, le=2**31 - 1)
    eager: bool = parameter(False, "Run the step uncompiled, to step through it with a debugger")
    xla: bool = parameter(False, "Compile the step with XLA, which may be faster on a GPU; on a processor it seldom is")
    device: str = parameter(
        "auto", "auto takes a GPU where there is one; gpu refuses to run without", choices=("auto", "cpu", "gpu"),
        operational=True,
    )  # fmt: skip
    replicas: int = parameter(
        1, "Devices that share the images of a step: so many GPUs, or, where there is none, parts of the processor",
        ge=1, le=64,
    )  # fmt: skip
    workers: int = parameter(
        1,
        "Processes that share the images of a step, each on a machine of its own where there are several",
        ge=1,
        le=64,
    )
    launcher: str = parameter(
        "auto", "What starts the other workers: processes of this machine, or on Kubernetes a Job or a TrainJob",
        choices=("auto", "processes", "job", "trainjob"), operational=True,
    )  # fmt: skip
    checkpoints: str = parameter(
        "", "Folder or s3:// prefix for checkpoints, of any runs; one that was cut off goes on from its newest there",
        operational=True,
    )  # fmt: skip
    checkpoint_every: int = parameter(
        0, "Steps from one checkpoint to the next; 0: so many as take a minute", ge=0, operational=True
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.snapshot_every and self.gradient_level != "full":
            raise ValueError(
                f"snapshot_every: {self.snapshot_every} needs gradient_level full, not {self.gradient_level}"
            )
        if self.geometric == 1:
            raise ValueError("geometric: 1 has no other powers; give 2 or more, or 0 for none")
        if self.gradient_level == "full" and not self.snapshot_every and not self.geometric:
            raise ValueError("gradient_level: full keeps whole gradients at no step; give snapshot_every or geometric")
        if self.augment_share != type(self).model_fields["augment_share"].default and not self.chosen("augment"):
            raise ValueError(f"augment_share: {self.augment_share:g} of the images, but augment is {self.augment}")
        if self.pause_at > self.epochs:
            raise ValueError(f"pause_at: {self.pause_at} is after the last of {self.epochs} epochs; give one of them")
        shares = self.workers * self.replicas
        if self.batch_size % shares:
            who = "replicas" if self.workers == 1 else "workers" if self.replicas == 1 else "workers times replicas"
            raise ValueError(f"{who}: {shares} cannot share {self.batch_size} images, the batch_size, evenly")
        if self.xla and (self.eager or shares > 1):
            other = "eager" if self.eager else "workers" if self.workers > 1 else "replicas"
            raise ValueError(f"xla: {other} cannot be with it: it compiles the step of one device as a whole")
        if not math.log2(self.loss_scale).is_integer():
            raise ValueError(f"loss_scale: {self.loss_scale:g} is not a power of two, so it would round the gradients")
        return self

    @property
    def last_epoch(self) -> int:
        """The epoch after which it ends, be it for now or for good."""
        return self.pause_at or self.epochs

    def course(self) -> dict[str, Any]:
        """Return what each step follows from: all of `provenance` but where it pauses."""
        return {name: value for name, value in self.provenance().items() if name != "pause_at"}


COMPONENT = Component(
    name="train",
    title="Train with GradientTape",
    help="Train a model on a data set with tf.GradientTape, and keep the gradients.",
    work="components.train.train:train",
    check="components.train.train:check",
    curves="components.artifacts.record.curves:curves",
    parameters=TrainParameters,
    inputs=(
        Input("dataset", "Dataset", "The data set that ingest made", later=OF_SPLITS),
        Input("checkpoint", "Artifact", "A checkpoint to go on from", optional=True, operational=True),
    ),
    outputs=(
        Output("trained_model", "Model", "The trained model, as model.keras and as a SavedModel"),
        Output("gradients", "Artifact", "The record of the gradients, as safetensors and JSON"),
        Output("metrics", "Metrics", "Loss and accuracy by epoch, as metrics.json"),
    ),
    packages=("tensorflow", "keras", "numpy"),
)
