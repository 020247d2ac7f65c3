"""EMNIST: digits and letters in six splits, all in one archive of NIST's.

Its images lie on their side, as they were written column by column; reading puts them upright. The labels of
`letters` begin at 1; reading puts them to 0. (Cohen et al., arXiv:1702.05373; the archive's …-mapping.txt.)
"""

import string

from components.ingest.known.declaration import Download, File, Known

# The digest of torchvision is the MD5 58c8d27c78d21e728a6bc7b3cc06412e; this one is that of TensorFlow Datasets.
ARCHIVE = Download(
    folder="emnist",
    mirrors=(
        "https://biometrics.nist.gov/cs_links/EMNIST",
        "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST",
    ),
    files=(File("gzip.zip", "sha256:fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"),),
)
ALL = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)
# Where a small letter looks like the capital, both are one class.
MERGED = tuple(string.digits + string.ascii_uppercase + "abdefghnqrt")
DIGITS = tuple(string.digits)


def _known(part: str, title: str, class_names: tuple[str, ...], train: int, test: int) -> Known:
    return Known(
        name=f"emnist-{part}",
        title=f"EMNIST {title}",
        class_names=class_names,
        splits={"train": train, "test": test},
        size=(28, 28),
        licence="none stated; made from NIST Special Database 19",
        homepage="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        citation="Cohen, Afshar, Tapson and van Schaik: EMNIST: extending MNIST to handwritten letters. IJCNN 2017",
        downloads=(ARCHIVE,),
        reader="components.ingest.known.reading:emnist",
        parts=(part,),
    )


SETS = (
    _known("byclass", "ByClass: digits, capital and small letters, as often as people write them", ALL,
           697_932, 116_323),
    _known("bymerge", "ByMerge: as ByClass, letters whose two cases look alike as one class", MERGED,
           697_932, 116_323),
    _known("balanced", "Balanced: as ByMerge, each class as often", MERGED, 112_800, 18_800),
    _known("letters", "Letters: capital and small as one class", tuple(string.ascii_uppercase), 124_800, 20_800),
    _known("digits", "Digits: each as often", DIGITS, 240_000, 40_000),
    _known("mnist", "MNIST: digits, as many as MNIST has", DIGITS, 60_000, 10_000),
)  # fmt: skip
