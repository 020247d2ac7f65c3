"""What the train step is."""

from pathlib import Path
from typing import Self

from pydantic import model_validator

from components.step.declaration import Component, Input, Output, Parameters, modules_in, parameter

_HERE = Path(__file__).parent
# A model or a gradient rule is a file in one of these folders; its name is the file's.
MODELS = modules_in("components.train.models", _HERE / "models")
RULES = modules_in("components.train.rules", _HERE / "rules")


class TrainParameters(Parameters):
    """How the model learns."""

    model: str = parameter("simple", "Network to train: a file in components/train/models", choices=MODELS)
    epochs: int = parameter(5, "Passes over the training images", ge=1, le=10_000)
    batch_size: int = parameter(128, "Images in a batch", ge=1, le=65_536)
    accumulate: int = parameter(1, "Batches whose mean gradient makes one step of the optimizer", ge=1, le=64)
    optimizer: str = parameter("adam", "Rule that turns gradients into updates", choices=("adam", "adamw", "sgd"))
    learning_rate: float = parameter(0.001, "Learning rate; the highest one of a schedule", gt=0, le=100)
    schedule: str = parameter(
        "cosine", "Learning rate over time; one-cycle rises for a quarter, then falls as a cosine",
        choices=("constant", "cosine", "one-cycle"),
    )  # fmt: skip
    momentum: float = parameter(0.9, "Momentum of sgd", ge=0, lt=1)
    weight_decay: float = parameter(0.01, "Weight decay of adamw", ge=0, le=1)
    rule: str = parameter("none", "What is done to the gradients: a file in components/train/rules", choices=RULES)
    clip_norm: float = parameter(0.0, "Largest global norm of the gradients; larger ones are scaled; 0: any", ge=0)
    gradient_level: str = parameter(
        "full", "What is kept: nothing, the norm of each variable's gradient at each step, or also whole gradients",
        choices=("off", "norms", "full"),
    )  # fmt: skip
    snapshot_every: int = parameter(0, "Keep whole gradients every N steps besides steps 1, 4, 16, 64, …", ge=0)
    seed: int = parameter(0, "Seed of everything random: the split, the weights, the order", ge=0, le=2**31 - 1)
    eager: bool = parameter(False, "Run the step uncompiled, to step through it with a debugger")
    device: str = parameter(
        "auto", "auto takes a GPU where there is one; gpu refuses to run without", choices=("auto", "cpu", "gpu"),
        operational=True,
    )  # fmt: skip
    checkpoints: str = parameter(
        "", "Folder or s3:// prefix for checkpoints; a run that was cut off goes on from the newest one there",
        operational=True,
    )  # fmt: skip
    checkpoint_every: int = parameter(500, "Steps from one checkpoint to the next", ge=1, operational=True)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.snapshot_every and self.gradient_level != "full":
            raise ValueError(
                f"snapshot_every: {self.snapshot_every} needs gradient_level full, not {self.gradient_level}"
            )
        return self


COMPONENT = Component(
    name="train",
    title="Train with GradientTape",
    help="Learn a data set with tf.GradientTape, and keep the gradients.",
    work="components.train.loop:train",
    parameters=TrainParameters,
    inputs=(
        Input("dataset", "Dataset", "The data set that ingest made"),
        Input("checkpoint", "Artifact", "A checkpoint to go on from", optional=True, operational=True),
    ),
    outputs=(
        Output("trained_model", "Model", "The trained network, as model.keras"),
        Output("gradients", "Artifact", "The record of the gradients, as safetensors"),
        Output("metrics", "Metrics", "Loss and accuracy by epoch, as metrics.json"),
    ),
    packages=("tensorflow", "keras", "numpy"),
)
