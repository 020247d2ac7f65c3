"""QMNIST: MNIST made anew from NIST's forms, with all 60,000 test images and who wrote each digit.

Labels are int32 [n, 8]: the digit, the series, the writer, and more. Digits of one writer are a group.
"""

from components.ingest.known.declaration import Download, File, Known

# Digests of torchvision; those of the labels were found so in the authors' repository, too.
FILES = Download(
    folder="qmnist",
    mirrors=(
        "https://raw.githubusercontent.com/facebookresearch/qmnist/master",
        "https://github.com/facebookresearch/qmnist/raw/master",
    ),
    files=(
        File("qmnist-train-images-idx3-ubyte", "md5:ed72d4157d28c017586c42bc6afe6370", ".gz"),
        File("qmnist-train-labels-idx2-int", "md5:0058f8dd561b90ffdd0f734c6a30e5e4", ".gz"),
        File("qmnist-test-images-idx3-ubyte", "md5:1394631089c404de565df7b7aeaf9412", ".gz"),
        File("qmnist-test-labels-idx2-int", "md5:5b5b05890a5e13444e108efe57b788aa", ".gz"),
    ),
)
MATCHED = 10_000  # so many test images, the first ones, are those of MNIST


def _known(name: str, title: str, test: int, *parts: str) -> Known:
    return Known(
        name=name,
        title=f"QMNIST: {title}",
        class_names=tuple("0123456789"),
        splits={"train": 60_000, "test": test},
        size=(28, 28),
        licence="BSD-3-Clause",
        homepage="https://github.com/facebookresearch/qmnist",
        citation="Yadav and Bottou: Cold case: the lost MNIST digits. NeurIPS 2019",
        downloads=(FILES,),
        reader="components.ingest.known.reading:qmnist",
        parts=parts,
    )


SETS = (
    _known("qmnist", "digits with their writers, and all test images", 60_000),
    _known("qmnist-test10k", "tested on the 10,000 images that MNIST tests on", 10_000, "test10k"),
    _known("qmnist-test50k", "tested on the 50,000 images that MNIST has lost", 50_000, "test50k"),
)
