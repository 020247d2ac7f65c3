"""What the hand-over is."""

import re

from pydantic import field_validator

from components.artifacts.splits import OF_SPLITS
from components.contract.declaration import Component, Input, Output, Parameters, parameter

_NAME = re.compile("[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


class HandoverParameters(Parameters):
    """How the model is called where it is served, and what its card says of it."""

    service_name: str = parameter("tapeline", "Name of the model and of its InferenceService where it is served")
    storage_uri: str = parameter(
        "", "Where KServe is to find the package, as s3://bucket/prefix; empty: a placeholder to fill in"
    )
    model_licence: str = parameter(
        "", "Licence of the model in its card, by Hugging Face's identifiers, as apache-2.0; empty: none is said"
    )
    onnx: bool = parameter(True, "Hand over the model as ONNX, too")

    @field_validator("service_name")
    @classmethod
    def _servable(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("expected up to 63 small letters, digits and -, from a letter to a letter or digit")
        return name

    @field_validator("model_licence")
    @classmethod
    def _identifier(cls, name: str) -> str:
        if name and not re.fullmatch("[a-z0-9][a-z0-9.-]{0,62}", name):
            raise ValueError("expected an identifier such as apache-2.0 or cc-by-4.0")
        return name

    @field_validator("storage_uri")
    @classmethod
    def _place(cls, uri: str) -> str:
        if uri and not re.fullmatch(r"[a-z0-9]+://[^\s'\"]+", uri):
            raise ValueError("expected an address such as s3://bucket/prefix or pvc://claim/path")
        return uri.rstrip("/")


COMPONENT = Component(
    name="handover",
    title="Hand over to servers",
    help="Make of a model what servers load, with a card that says what it is; both are tried on every test image.",
    work="components.handover.handover:handover",
    parameters=HandoverParameters,
    inputs=(
        Input("dataset", "Dataset", "The data set that ingest made", later=OF_SPLITS),
        Input("trained_model", "Model", "The model that train made"),
        Input("metrics", "Metrics", "What evaluate found"),
        Input("gradient_tables", "Metrics", "What export made, for the card", optional=True),
    ),
    outputs=(Output("package", "Model", "SavedModel, ONNX, KServe's manifests, and the model card, README.md"),),
    packages=("tensorflow", "keras", "numpy", "onnx", "onnxruntime", "tf2onnx"),
)
