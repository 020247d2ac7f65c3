"""What the ingest step is."""

from components.artifacts.findings import FAIL_ON
from components.contract.declaration import Component, Output, Parameters, parameter
from components.ingest.forms import FORMS


class IngestParameters(Parameters):
    """How the data set is made."""

    source: str = parameter(
        "mnist", "A known data set, mnist say, or the folder, file or s3:// prefix of one's own, in any of the forms"
    )
    form: str = parameter(
        "auto", "Form of one's own data: a file in components/ingest/forms; auto: what is recognised",
        choices=("auto", *FORMS.names),
    )  # fmt: skip
    image_field: str = parameter("", "Column, array or feature of the images; empty: as it is usually called")
    label_field: str = parameter("", "That of the labels; empty: as it is usually called")
    split_field: str = parameter("", "That which says train, validation or test of an image; empty: usual names")
    group_field: str = parameter("", "That of what must not be parted by a split, a writer say; empty: usual names")
    weight_field: str = parameter("", "That of how much each image counts; empty: usual names")
    classes: int = parameter(0, "Number of classes; 0: as many as the labels say", ge=0, le=256)
    class_names: str = parameter("", "Names of the classes in the order of the labels, as cat,dog; empty: the source's")
    first_label: int = parameter(0, "The label of the first class, where labels are numbers", ge=0)
    value_range: str = parameter(
        "", "Pixel values that become black and white, as 0,1 or -1,1 or 0,65535; empty: pixels are bytes already"
    )
    colour: str = parameter(
        "as-is", "as-is: all images in grey or all in colour; grey: made grey; rgb: grey made three channels",
        choices=("as-is", "grey", "rgb"),
    )  # fmt: skip
    size: str = parameter("", "Size of the images as 28 or HEIGHTxWIDTH; empty: all have one size already")
    fit: str = parameter(
        "exact", "How an image comes to `size`: exact: it must have it; stretch; contain: scaled, then padded; pad",
        choices=("exact", "stretch", "contain", "pad"),
    )  # fmt: skip
    background: int = parameter(0, "Shade of what is padded, from 0, black, to 255, white", ge=0, le=255)
    transpose: bool = parameter(False, "Swap rows and columns of each image, as EMNIST's files need")
    invert: bool = parameter(False, "Make black white and white black")
    validation_size: int = parameter(
        0, "Training images set apart for validation where the source does not; 0: a twelfth, of MNIST's 60,000 5,000",
        ge=0,
    )  # fmt: skip
    test_size: int = parameter(0, "Images set apart for the test where the source does not; 0: a seventh", ge=0)
    seed: int = parameter(0, "Seed of everything random: the split, the weights, the order", ge=0, le=2**31 - 1)
    reference: str = parameter(
        "", "A data set that ingest made earlier (folder or s3:// prefix), or a schema.json, to compare with"
    )
    fail_on: str = FAIL_ON
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
