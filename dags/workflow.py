"""The steps and how they connect: the only place that names them.

A step more is a folder in components/, a task here, and its group of packages in pyproject.toml.
"""

from collections.abc import Mapping

from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.gate.component import COMPONENT as GATE
from components.handover.component import COMPONENT as HANDOVER
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT as TRAIN
from dags.definition import Asset, Gate, Resources, Task, Trials, Workflow

BLESSED = "blessed"


def accuracy(figures: Mapping[str, float | str]) -> str:
    """Return what a run ends with, from the figures of the gate."""
    share, low, high = (100 * float(figures[name]) for name in ("accuracy", "accuracy_low", "accuracy_high"))
    verdict, version = figures["verdict"], int(figures["version"])
    said = f"{verdict} as version {version}" if version and verdict == BLESSED else verdict
    return f"test accuracy {share:.2f} % (95 % interval {low:.2f} to {high:.2f} %), {said}"


WORKFLOW = Workflow(
    name="tapeline",
    title="Learn with GradientTape",
    help="Learn a data set with tf.GradientTape, keep the gradients, judge the model.",
    tasks=(
        Task(INGEST, Resources("500m", "2", "1Gi", "4Gi", timeout_seconds=1800), downloads=True),
        Task(
            TRAIN,
            Resources("1", "8", "3Gi", "12Gi", timeout_seconds=6 * 3600, gpu=True, shared_memory="2Gi"),
            {"dataset": (INGEST, "dataset")},
            checkpoints="checkpoints",
            launches=True,
        ),
        Task(
            EXPORT,
            Resources("500m", "2", "1Gi", "4Gi", timeout_seconds=1800),
            {"gradients": (TRAIN, "gradients")},
        ),
        Task(
            EVALUATE,
            Resources("1", "4", "2Gi", "6Gi", timeout_seconds=1800),
            {"dataset": (INGEST, "dataset"), "trained_model": (TRAIN, "trained_model")},
        ),
        Task(
            GATE,
            Resources("250m", "2", "512Mi", "2Gi", timeout_seconds=1800),
            {
                "dataset": (INGEST, "dataset"),
                "trained_model": (TRAIN, "trained_model"),
                "metrics": (EVALUATE, "metrics"),
            },
            fresh=True,
        ),
        Task(
            HANDOVER,
            Resources("1", "4", "2Gi", "6Gi", timeout_seconds=1800),
            {
                "dataset": (INGEST, "dataset"),
                "trained_model": (TRAIN, "trained_model"),
                "metrics": (EVALUATE, "metrics"),
                "gradient_tables": (EXPORT, "gradient_tables"),
            },
            if_blessed=True,
        ),
    ),
    gate=Gate(
        GATE,
        "decision",
        verdict="verdict",
        blessed=BLESSED,
        rejected="rejected",
        threshold="min_accuracy",
        blesses=Asset("model", (TRAIN, "trained_model")),
        sentence=accuracy,
    ),
    assets=(Asset("dataset", (INGEST, "dataset")), Asset("gradients", (TRAIN, "gradients"))),
    form=(
        "source",
        "model",
        "epochs",
        "batch_size",
        "step",
        "loss",
        "optimizer",
        "learning_rate",
        "transform",
        "seed",
        "fail_on",
        "min_accuracy",
    ),
    # How they were found and what they reach: docs/results.md.
    presets={
        "best": {
            "model": "convnet-bn",
            "epochs": 20,
            "learning_rate": 0.004,
            "schedule": "one-cycle",
            "label_smoothing": 0.05,
            "augment": "rotate,scale,shift,elastic",
            "elastic_alpha": 24.0,
        }
    },
    trials=Trials(
        TRAIN,
        output="metrics",
        measures={"validation_accuracy": True, "validation_loss": False},
        steps=("trained_model", "steps"),
        epochs="epochs",
        pause="pause_at",
        seed="seed",
        lean={"gradient_level": "norms"},
        candidates="candidates",
    ),
)
