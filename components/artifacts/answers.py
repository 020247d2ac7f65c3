"""What a model answers to the test images: `logits.npy`, which evaluate writes beside its figures.

float32 [images, classes], in the order of the test split. Two models are compared by them, and what serves a model is
held against them.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.contract.errors import BadInput

NAME = "logits.npy"
AGAIN = "evaluate the model again, on this very data set"

Logits = npt.NDArray[np.float32]


def write(folder: Path, logits: Logits) -> None:
    """Write the answers into `folder`."""
    np.save(folder / NAME, logits, allow_pickle=False)


def read(folder: Path, images: int, classes: int) -> Logits:
    """Return the answers in `folder`; raise `BadInput` unless they are those to so many images and classes."""
    path, shape = folder / NAME, (images, classes)
    try:
        # Mapped first: what a header announces and the file does not hold takes no memory.
        logits = np.array(np.lib.format.open_memmap(path, mode="r"))
    except FileNotFoundError:
        raise BadInput(f"there is no {path}; {AGAIN}") from None
    except Exception as error:  # noqa: BLE001 - the header is a text of Python's, and may be wrong in all its ways
        raise BadInput(f"{path} is damaged: {str(error).partition(':')[0]}; {AGAIN}") from None
    if logits.dtype != np.float32 or logits.shape != shape:
        raise BadInput(f"{path} holds {logits.dtype} {logits.shape}, expected float32 {shape}; {AGAIN}")
    if not np.isfinite(logits).all():
        raise BadInput(f"{path} has numbers that are not finite; {AGAIN}")
    return logits
