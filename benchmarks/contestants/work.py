"""The work that each contestant is given as plain arrays, and the result that each hands back.

Imports NumPy alone, so that a contestant pays for its own library and for no other.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Work:
    """One training, down to the order of its rows and its first weights.

    Attributes:
        images: (60,000, 784) in [0, 1]; labels: (60,000,).
        orders: (epochs, 60,000) int32, a permutation of the rows for each epoch.
        weights: Kernel (inputs, outputs) and bias (outputs,) of each layer, in order.
        batch_size: Rows of a step; the last step of an epoch may have fewer.
        optimizer: `adam` or `rmsprop`, with Keras's defaults.
    """

    images: Images
    labels: Labels
    test_images: Images
    test_labels: Labels
    orders: NDArray[np.int32]
    weights: list[Images]
    batch_size: int
    optimizer: str


def folder(arguments: Sequence[str] | None = None) -> Path:
    """Returns the folder of the work, a contestant's only argument without a dash."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    return parser.parse_known_args(arguments)[0].folder


def write(
    folder: Path,
    settings: dict[str, object],
    arrays: dict[str, NDArray],
    weights: list[Images],
) -> None:
    """Writes the work into a new folder.

    Args:
        folder: Does not exist yet.
        settings: `batch_size` and `optimizer`.
        arrays: The other arrays of `Work`, by name.
        weights: As in `Work`.
    """
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    np.savez(folder / "arrays.npz", **arrays)
    np.savez(folder / "weights.npz", *weights)


def read(folder: Path) -> Work:
    """Returns the work that `write` left in a folder."""
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    with np.load(folder / "arrays.npz") as arrays, np.load(folder / "weights.npz") as weights:
        return Work(**arrays, weights=[weights[name] for name in weights.files], **settings)


def hand_back(
    epoch_seconds: Sequence[float],
    train_loss: Sequence[float],
    test_accuracy: float,
    compile_seconds: float = 0.0,
) -> None:
    """Prints the result as JSON.

    Args:
        epoch_seconds: Of each epoch.
        train_loss: Mean over the epoch's examples, each taken before its own step.
        test_accuracy: Share of all 10,000 test images, in [0, 1].
        compile_seconds: What was compiled ahead; 0 where the first epoch pays for it.
    """
    result = {
        "epoch_seconds": list(epoch_seconds),
        "train_loss": [float(loss) for loss in train_loss],
        "test_accuracy": float(test_accuracy),
        "compile_seconds": compile_seconds,
    }
    print(json.dumps(result))
