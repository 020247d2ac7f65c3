"""How well wrong labels are found after a first training: python -m benchmarks.labels [--share 0.02] [--epochs 2].

Some labels of MNIST's training and validation images are changed at random, a model is trained on them, and what
evaluate then lists as contradicted is compared with what was changed.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np

from components.artifacts import dataset as datasets
from components.artifacts import model as models
from components.contract import artifact
from components.contract.run import run
from components.evaluate import labels as looked
from components.evaluate.evaluate import predictor
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT as TRAIN

SPLITS = ("train", "validation")


def main() -> None:
    """Print precision and recall for each model and split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    looked.LISTED = 10**6
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        outputs = {item.name: str(folder / item.name) for item in INGEST.outputs}
        run(INGEST, INGEST.parameters(), {}, outputs)
        changed = {split: change(folder / "dataset", split, options.share) for split in SPLITS}
        reseal(folder / "dataset")
        for model in ("convnet", "simple"):
            values = {"model": model, "epochs": options.epochs, "gradient_level": "norms"}
            outputs = {item.name: str(folder / model / item.name) for item in TRAIN.outputs}
            run(TRAIN, TRAIN.parameters.checked(values), {"dataset": str(folder / "dataset")}, outputs)
            network, spec = models.read(folder / model / "trained_model")
            predict = predictor(network, spec.channels)
            for split in SPLITS:
                images, given, _ = datasets.read(folder / "dataset", split)
                names = datasets.origins(folder / "dataset", split)
                found = {each["image"] for each in looked.contradicted(predict(images), given, names)["first"]}
                right = len(found & changed[split])
                print(
                    f"{model:8} {split:10} {len(changed[split]):5} changed, {len(found):5} contradicted: precision "
                    f"{right / len(found):.3f}, recall {right / len(changed[split]):.3f}"
                )


def change(dataset: Path, split: str, share: float) -> set[int]:
    """Give a share of the images another label, and return which."""
    random = np.random.default_rng(0)
    labels = datasets.read_labels(dataset, split)
    chosen = random.choice(len(labels), round(share * len(labels)), replace=False)
    labels[chosen] = (labels[chosen] + random.integers(1, 10, len(chosen))) % 10
    np.save(dataset / f"{split}-labels.npy", labels)
    return set(chosen.tolist())


def reseal(dataset: Path) -> None:
    """Make the changed folder an artifact again."""
    metadata = artifact.read(dataset).metadata
    shutil.move(dataset / artifact.MANIFEST, dataset.parent / "old.json")
    artifact.seal(dataset, component="ingest", output="dataset", parameters={}, inputs={}, metadata=metadata)


if __name__ == "__main__":
    main()
