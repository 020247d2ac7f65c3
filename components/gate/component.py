"""What the gate is."""

from components.artifacts.splits import OF_SPLITS
from components.contract.declaration import Component, Input, Output, Parameters, parameter


class GateParameters(Parameters):
    """What a model is held against, and how sure that has to be."""

    margin: float = parameter(
        0.5, "Points of accuracy by which it may be worse than the blessed model; 0: it must be better", ge=0, le=100
    )
    candidates: int = parameter(
        1, "How many models this one was chosen from on these test images; the more, the surer it has to be", ge=1
    )
    model_name: str = parameter("model", "The name that the registry keeps it by")
    registry: str = parameter(
        "", "Where the blessed models are: a path or s3://bucket/prefix; empty: TAPELINE_REGISTRY", operational=True
    )


COMPONENT = Component(
    name="gate",
    title="Compare with the blessed model",
    help="Hold a model against the blessed one, and make it the blessed one if it passes.",
    work="components.gate.gate:gate",
    parameters=GateParameters,
    inputs=(
        Input("dataset", "Dataset", "The data set that ingest made", later=OF_SPLITS),
        Input("trained_model", "Model", "The model that train made"),
        Input("metrics", "Metrics", "What evaluate found"),
    ),
    outputs=(
        Output("decision", "Metrics", "The verdict, its reasons, and what they follow from, as decision.json"),
        Output("report", "HTML", "Why the model is blessed or not, as a page", file="report.html"),
    ),
    packages=("numpy", "scipy", "matplotlib"),
)
