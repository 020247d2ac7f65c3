"""What the ingest step is."""

from components.contract.declaration import Component, Output, Parameters, parameter


class IngestParameters(Parameters):
    """How the data set is made."""

    source: str = parameter(
        "mnist", "mnist, fashion-mnist, kmnist, or the folder or s3:// prefix of four IDX files, gzipped or not"
    )
    classes: int = parameter(10, "Number of classes; every label is below it", ge=2, le=256)
    validation_size: int = parameter(5000, "Training images set apart for validation", ge=1)
    seed: int = parameter(0, "Seed of everything random: the split, the weights, the order", ge=0, le=2**31 - 1)
    cache: str = parameter("~/.cache/tapeline", "Folder that keeps downloads", operational=True)


COMPONENT = Component(
    name="ingest",
    title="Ingest and validate",
    help="Fetch a labelled image data set, check it, split it, and describe it.",
    work="components.ingest.ingest:ingest",
    parameters=IngestParameters,
    inputs=(),
    outputs=(
        Output("dataset", "Dataset", "Images and labels of the splits train, validation and test, as .npy files"),
        Output("report", "HTML", "What is in the data set, as a page", file="report.html"),
    ),
    packages=("numpy", "matplotlib"),
)
