"""python -m components.artifacts.model FOLDER: whether a model reads back, and whether its SavedModel runs."""

import sys
from pathlib import Path

from components.artifacts.model import check
from components.contract.command import Parser, guard


def main() -> None:
    """Check the folder that the command line names, and say what it holds."""
    parser = Parser(prog="python -m components.artifacts.model", description=__doc__)
    parser.add_argument("folder", type=Path, help="Folder of a trained model")
    folder = parser.parse_args(sys.argv[1:]).folder
    spec = check(folder)
    height, width = spec.image_shape[:2]
    print(f"{folder}: {spec.model}, {height}×{width} images, {spec.classes} classes")


if __name__ == "__main__":
    guard("model", main)
