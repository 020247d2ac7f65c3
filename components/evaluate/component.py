"""What the evaluate step is."""

from components.artifacts.splits import OF_SPLITS
from components.contract.declaration import Component, Input, Output, Parameters, parameter


class EvaluateParameters(Parameters):
    """The thresholds that the model has to pass; those left at 0 are none."""

    min_accuracy: float = parameter(0.0, "Least accuracy on the test images; 0: no threshold", ge=0, le=1)
    min_recall: float = parameter(0.0, "Least recall of the worst class; 0: no threshold", ge=0, le=1)
    max_calibration_error: float = parameter(
        0.0, "Largest expected calibration error; 0: no threshold", ge=0, le=1
    )  # fmt: skip
    look_at: str = parameter(
        "", "Test images to show with the pixels that move the prediction, as 0,17,…; empty: the most suspected ones"
    )
    check_labels: bool = parameter(True, "Look for wrong labels among the training and validation images, too")


COMPONENT = Component(
    name="evaluate",
    title="Judge on the test set",
    help="Judge a trained model on the test images of a data set.",
    work="components.evaluate.evaluate:evaluate",
    parameters=EvaluateParameters,
    inputs=(
        Input("dataset", "Dataset", "The data set that ingest made", later=OF_SPLITS),
        Input("trained_model", "Model", "The model that train made"),
    ),
    outputs=(
        Output("metrics", "Metrics", "Every figure and the verdict, as metrics.json, and the answers, as logits.npy"),
        Output("classification", "ClassificationMetrics", "Confusion matrix and ROC, as classification.json"),
        Output("report", "HTML", "How good the model is, as a page", file="report.html"),
    ),
    packages=("tensorflow", "keras", "numpy", "sklearn", "scipy", "matplotlib"),
)
