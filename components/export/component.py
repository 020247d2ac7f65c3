"""What the export step is."""

from components.artifacts.findings import FAIL_ON
from components.contract.declaration import Component, Input, Output, Parameters, parameter


class ExportParameters(Parameters):
    """What is exported."""

    snapshots: bool = parameter(True, "Export the whole gradients too, not only the tables")
    fail_on: str = FAIL_ON


COMPONENT = Component(
    name="export",
    title="Export the gradients",
    help="Turn the record of the gradients into tables, tensors, TensorBoard events, a diagnosis, and a page.",
    work="components.export.export:export",
    parameters=ExportParameters,
    inputs=(Input("gradients", "Artifact", "The record of the gradients that train made"),),
    outputs=(
        # Of a type whose figures, how many things were found among them, Kubeflow's UI shows and compares.
        Output(
            "gradient_tables", "Metrics", "Parquet tables, diagnosis.json, safetensors snapshots, TensorBoard events"
        ),
        Output("report", "HTML", "The training and its gradients, as a page", file="report.html"),
    ),
    packages=("numpy", "pyarrow", "matplotlib"),
)
