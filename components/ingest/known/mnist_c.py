"""MNIST-C: the test images of MNIST under fifteen corruptions, to see how robust a model is.

Trained is on MNIST as it is; the corrupted images are the test split; an image's origin says which corruption it is.
"""

from components.ingest.known.declaration import Download, File, Known
from components.ingest.known.mnist import MNIST

# The digest of Zenodo is the MD5 4b34b33045869ee6d424616cd3a65da3; this one is that of TensorFlow Datasets.
ARCHIVE = Download(
    folder="mnist-c",
    mirrors=("https://zenodo.org/records/3239543/files", "https://zenodo.org/record/3239543/files"),
    files=(File("mnist_c.zip", "sha256:af9ee8c6a815870c7fdde5af84c7bf8db0bcfa1f41056db83871037fba70e493"),),
)
CORRUPTIONS = (
    "brightness", "canny_edges", "dotted_line", "fog", "glass_blur", "impulse_noise", "motion_blur", "rotate",
    "scale", "shear", "shot_noise", "spatter", "stripe", "translate", "zigzag",
)  # fmt: skip


def _known(name: str, title: str, *corruptions: str) -> Known:
    return Known(
        name=name,
        title=f"MNIST-C: MNIST, tested {title}",
        class_names=tuple("0123456789"),
        splits={"train": 60_000, "test": 10_000 * len(corruptions)},
        size=(28, 28),
        licence="CC BY 4.0",
        homepage="https://zenodo.org/records/3239543",
        citation="Mu and Gilmer: MNIST-C: a robustness benchmark for computer vision. arXiv:1906.02337, 2019",
        downloads=(MNIST, ARCHIVE),
        reader="components.ingest.known.reading:mnist_c",
        parts=corruptions,
    )


SETS = (
    _known("mnist-c", "under fifteen corruptions", *CORRUPTIONS),
    *(
        _known(f"mnist-c-{each.replace('_', '-')}", f"under the corruption {each.replace('_', ' ')}", each)
        for each in CORRUPTIONS
    ),
)
