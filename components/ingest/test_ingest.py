# mypy: allow-untyped-defs, allow-untyped-calls
import gzip
import json
import shutil

import numpy as np
import pytest

from components.artifacts import dataset as datasets
from components.artifacts.dataset import Split
from components.conftest import DIGITS, SMALL, arrays_of, make
from components.contract import artifact
from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.ingest.component import COMPONENT
from components.ingest.forms import idx
from components.ingest.known.mnist import FILES
from components.ingest.look import look
from components.ingest.statistics import describe


@pytest.fixture
def files(tmp_path):
    """Return a folder with the four files, to be spoilt."""
    folder = tmp_path / "files"
    folder.mkdir()
    for file in FILES:
        (folder / file).write_bytes(gzip.decompress((DIGITS / f"{file}.gz").read_bytes()))
    return folder


def test_the_splits_are_those_of_the_files(ingested):
    dataset = ingested / "dataset"
    load = {path.stem: np.load(path) for path in dataset.glob("*.npy")}
    assert {name: (array.shape, array.dtype.name) for name, array in load.items()} == {
        "train-images-00000": ((448, 28, 28), "uint8"),
        "train-labels": ((448,), "uint8"),
        "validation-images-00000": ((64, 28, 28), "uint8"),
        "validation-labels": ((64,), "uint8"),
        "test-images-00000": ((256, 28, 28), "uint8"),
        "test-labels": ((256,), "uint8"),
    }
    original = idx.numbers(DIGITS / "t10k-images-idx3-ubyte.gz", "images")
    assert (load["test-images-00000"] == original).all()
    both = sorted(image.tobytes() for name in ("train", "validation") for image in load[f"{name}-images-00000"])
    assert both == sorted(image.tobytes() for image in idx.numbers(DIGITS / f"{FILES[0]}.gz", "images"))


def test_statistics_are_exact(ingested):
    statistics = json.loads((ingested / "dataset" / "statistics.json").read_text())
    test = statistics["splits"]["test"]
    images = np.load(ingested / "dataset" / "test-images-00000.npy") / 255
    assert test["class_counts"] == [19, 35, 24, 23, 34, 26, 22, 31, 14, 28]
    assert test["pixel_mean"] == pytest.approx(images.mean(), rel=1e-12)
    assert test["pixel_standard_deviation"] == pytest.approx(images.std(), rel=1e-12)
    assert sum(test["pixel_histogram"]) == 256 * 28 * 28
    assert statistics["across"] == {"train and validation": 0, "train and test": 0, "validation and test": 0}


def test_repeated_images_are_counted_within_and_across_splits():
    a, b, c = (np.full((1, 2, 2), value, np.uint8) for value in (1, 2, 3))
    labels = np.zeros(3, np.uint8)
    splits = {"train": Split(np.concatenate([a, a, b]), labels), "test": Split(np.concatenate([b, c, b]), labels)}
    statistics = describe({name: look(split, 2) for name, split in splits.items()})
    assert [statistics["splits"][name]["repeated"] for name in ("train", "test")] == [1, 1]
    assert statistics["across"] == {"train and test": 1}


def test_same_seed_same_bytes_and_another_seed_another_split(ingested, tmp_path):
    again = make(COMPONENT, SMALL, {}, tmp_path / "again")
    other = make(COMPONENT, SMALL | {"seed": 1}, {}, tmp_path / "other")
    assert artifact.digest(again / "dataset") == artifact.digest(ingested / "dataset")
    assert artifact.digest(again / "report") == artifact.digest(ingested / "report")
    name = "validation-labels.npy"
    files = [artifact.verify(folder / "dataset").files[name] for folder in (ingested, other)]
    assert files[0] != files[1]


def spoil_truncated(folder):
    path = folder / FILES[0]
    path.write_bytes(path.read_bytes()[:-1])


def spoil_longer(folder):
    path = folder / FILES[1]
    path.write_bytes(path.read_bytes() + b"\0")


def spoil_swapped(folder):
    shutil.move(folder / FILES[0], folder / "kept")
    shutil.move(folder / FILES[1], folder / FILES[0])
    shutil.move(folder / "kept", folder / FILES[1])


def spoil_magic(folder):
    (folder / FILES[3]).write_bytes(b"%PDF-1.7 and more")


def spoil_header(folder):
    (folder / FILES[2]).write_bytes((folder / FILES[2]).read_bytes()[:10])


def spoil_empty(folder):
    idx.write(folder / FILES[3], np.zeros(0, np.uint8))


def spoil_label(folder):
    labels = idx.numbers(folder / FILES[1], "labels").copy()
    labels[5] = 10
    idx.write(folder / FILES[1], labels)


def spoil_count(folder):
    idx.write(folder / FILES[3], idx.numbers(folder / FILES[3], "labels")[:-1])


def spoil_gzip(folder):
    packed = gzip.compress((folder / FILES[0]).read_bytes())
    (folder / FILES[0]).write_bytes(packed[:-9])


def spoil_shape(folder):
    idx.write(folder / FILES[2], idx.numbers(folder / FILES[2], "images")[:, :27])


def spoil_missing(folder):
    (folder / FILES[2]).unlink()


def spoil_link(folder):
    (folder / FILES[2]).unlink()
    (folder / FILES[2]).symlink_to(folder / "nowhere")


def spoil_enormous(folder):
    (folder / FILES[2]).write_bytes(bytes.fromhex("00000803" + 12 * "ff"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            spoil_truncated,
            "train-images-idx3-ubyte is truncated: its header announces 512×28×28 bytes of images, 401424",
        ),
        (spoil_longer, "train-labels-idx1-ubyte is longer than it should be"),
        (spoil_swapped, "train-images-idx3-ubyte holds labels, expected images: are two files swapped?"),
        (spoil_magic, "t10k-labels-idx1-ubyte is no IDX file of labels: it starts with 25504446, expected 00000801"),
        (spoil_header, "t10k-images-idx3-ubyte is truncated: it ends within its header"),
        (spoil_empty, "t10k-labels-idx1-ubyte is empty"),
        (
            spoil_label,
            "train-images-idx3-ubyte 5: label 10 is out of range: with 10 classes labels are 0 to 9",
        ),
        (spoil_count, "t10k-images-idx3-ubyte has 256 images, but t10k-labels-idx1-ubyte has 255 labels"),
        (spoil_gzip, "train-images-idx3-ubyte is a damaged gzip file"),
        (
            spoil_shape,
            "t10k-images-idx3-ubyte 0: the image is 27×28, but train-images-idx3-ubyte 0 is 28×28; set `size`",
        ),
        (spoil_missing, "has no t10k-images-idx3-ubyte"),
        (spoil_link, "has no t10k-images-idx3-ubyte"),
        (spoil_enormous, "79228162458924105385300197391 bytes in all, but it has 16"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_way_to_spoil_a_file_has_its_own_sentence(files, tmp_path, spoil, message):
    spoil(files)
    with pytest.raises(BadInput) as error:
        make(COMPONENT, SMALL | {"source": str(files), "classes": 10}, {}, tmp_path / "out")
    assert message in str(error.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_folders_of_the_files_names_beside_the_files_are_passed_over(files, ingested, tmp_path):
    """As in Kaggle's archive of MNIST: folders with a dash, files with a dot, and the same file in each."""
    for file in FILES:
        (files / file).rename(files / file.replace("-idx", ".idx"))
        (files / file).mkdir()
        shutil.copy(files / file.replace("-idx", ".idx"), files / file / file)
    made = make(COMPONENT, SMALL | {"source": str(files)}, {}, tmp_path / "out")
    assert (made / "dataset" / "train-images-00000.npy").read_bytes() == (
        ingested / "dataset" / "train-images-00000.npy"
    ).read_bytes()


def test_validation_cannot_take_everything(tmp_path):
    with pytest.raises(BadInput, match="validation_size: 512 leaves nothing of the 512 training images"):
        make(COMPONENT, SMALL | {"validation_size": 512}, {}, tmp_path / "out")


def test_files_in_the_store_give_the_same_splits(s3, files, ingested, tmp_path):
    store = Store.from_environment()
    for file in FILES:
        store.client.put_object(Bucket="tests", Key=f"{s3[11:]}/{file}", Body=(files / file).read_bytes())
    made = make(COMPONENT, SMALL | {"source": s3}, {}, tmp_path / "out")
    assert arrays_of(made) == arrays_of(ingested)


def test_the_report_stands_alone(ingested):
    text = (ingested / "report" / "report.html").read_text()
    assert "<script" not in text
    assert 'src="http' not in text
    assert text.count("<svg") == 2
    assert "Sound: nothing odd in 768 images." in text
    assert "data:image/png;base64," in text


def test_which_splits_were_made_is_said(ingested, capsys, tmp_path):
    assert artifact.read(ingested / "dataset").metadata["made_splits"] == ["validation"]
    images = idx.numbers(DIGITS / "train-images-idx3-ubyte.gz", "images")
    labels = idx.numbers(DIGITS / "train-labels-idx1-ubyte.gz", "labels")
    np.savez(tmp_path / "digits.npz", images=images, labels=labels)
    made = make(COMPONENT, {"source": str(tmp_path / "digits.npz")}, {}, tmp_path / "out")
    assert artifact.read(made / "dataset").metadata["made_splits"] == ["validation", "test"]
    assert capsys.readouterr().out.splitlines()[:4] == [
        f"{tmp_path / 'digits.npz'}: arrays in digits.npz (form: npz)",
        "train         403 images of 28×28 pixels",
        "validation     36 images of 28×28 pixels, set apart by seed and class",
        "test           73 images of 28×28 pixels, set apart by seed and class",
    ]


def test_images_that_all_weigh_nothing(tmp_path):
    images = idx.numbers(DIGITS / "train-images-idx3-ubyte.gz", "images")
    labels = idx.numbers(DIGITS / "train-labels-idx1-ubyte.gz", "labels")
    np.savez(tmp_path / "digits.npz", images=images, labels=labels, weights=np.zeros(512))
    with pytest.raises(BadInput, match="all 403 train images weigh 0; give some of them a weight above 0"):
        make(COMPONENT, {"source": str(tmp_path / "digits.npz")}, {}, tmp_path / "out")
    weights = np.linspace(0, 2, 512)
    np.savez(tmp_path / "digits.npz", images=images, labels=labels, weights=weights)
    made = make(COMPONENT, {"source": str(tmp_path / "digits.npz")}, {}, tmp_path / "out")
    rows = [int(line.rpartition(" ")[2]) for line in datasets.origins(made / "dataset", "test")]
    split = datasets.read(made / "dataset", "test")
    assert split.weights is not None
    assert split.weights.tolist() == weights[rows].astype(np.float32).tolist()
    assert split.images[:].tolist() == images[rows].tolist()


def test_a_field_that_is_nothing_to_the_form_is_not_ignored(files, tmp_path):
    with pytest.raises(
        BadInput, match="label_field: digit, but data in the form idx have no such fields; leave it out"
    ):
        make(COMPONENT, {"source": str(files), "label_field": "digit"}, {}, tmp_path / "out")
