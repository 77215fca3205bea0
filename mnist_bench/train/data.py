"""The images that a network is trained on: split, limited, scaled, and digested."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mnist_bench.config.schema import DataConfig, DataName, Validation
from mnist_bench.errors import Refusal
from mnist_bench.train.readers import Rows, read_rows

HOLDOUT_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Split:
    """Rows ready for a network.

    Attributes:
        images: (n, 28, 28) float32 in [0, 255 / divisor].
        labels: (n,) int32 in 0..9.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything a run sees of its data.

    Attributes:
        name: `mnist`, `fashion_mnist` or `custom`.
        train: What is trained on, after holdout and limit.
        validation: None with `data.validation=none`. May share memory with `train` or be `test`
            itself: treat all arrays as read-only.
        test: The whole test split.
        digest: Hex SHA-256 of the arrays after split and limit and of the scaling rule; equal for
            equal inputs of a run, wherever they were read from.
    """

    name: str
    train: Split
    validation: Split | None
    test: Split
    digest: str


def load_dataset(config: DataConfig) -> Dataset:
    """Returns the verified data, split and scaled.

    The packaged MNIST is checked against its published digest at every load.

    Raises:
        Refusal: If a file is missing, unreadable, broken or not of the required form, or has too
            few rows for the wanted validation or limit.
    """
    all_train, test = read_rows(config)
    train, validation = _split(all_train, test, config)
    # Divided in float32, as the notebooks' `astype('float32') / 255` is.
    divisor = np.float32(config.divisor)
    train_split, test_split = _scaled(train, divisor), _scaled(test, divisor)
    validation_split: Split | None
    if validation is None:
        validation_split = None
    elif config.validation is Validation.test:
        validation_split = test_split
    elif config.validation is Validation.train_tail and len(train) == len(all_train):
        # The same rows, already scaled: a view instead of another 31 MB.
        tail = slice(-HOLDOUT_ROWS, None)
        validation_split = Split(train_split.images[tail], train_split.labels[tail])
    else:
        validation_split = _scaled(validation, divisor)
    return Dataset(
        name=config.name.value,
        train=train_split,
        validation=validation_split,
        test=test_split,
        digest=_dataset_digest(config.validation, divisor, train, validation, test),
    )


def load_cached(config: DataConfig) -> Dataset:
    """Returns what `load` does, from memory if it was the last thing this process loaded.

    The runs of a sweep share their data, and a plan has looked at it before.
    """
    return _load_cached(
        config.name, config.path, config.divisor, config.validation, config.train_limit
    )


@lru_cache(maxsize=1)
def _load_cached(
    name: DataName,
    path: str | None,
    divisor: float,
    validation: Validation,
    train_limit: int | None,
) -> Dataset:
    return load_dataset(
        DataConfig(
            name=name, path=path, divisor=divisor, validation=validation, train_limit=train_limit
        )
    )


def _split(train: Rows, test: Rows, config: DataConfig) -> tuple[Rows, Rows | None]:
    """Returns the rows to train on and those to validate on; views, no copies."""
    mode, rows, validation = config.validation, len(train), None
    if mode is Validation.test:
        validation = test
    elif mode is not Validation.none:
        removed = HOLDOUT_ROWS if mode is Validation.holdout else 0
        needed = HOLDOUT_ROWS + 1 if removed else HOLDOUT_ROWS
        if rows < needed:
            raise Refusal(
                f"data.validation={mode.value} needs at least {needed} training rows, got {rows}; "
                "use data.validation=none or data.validation=test"
            )
        validation = train.part(rows - HOLDOUT_ROWS, rows)
        train = train.part(0, rows - removed)
    limit = config.train_limit
    if limit is not None:
        if limit > len(train):
            raise Refusal(
                f"data.train_limit must be at most {len(train)}, the rows left for training with "
                f"data.validation={mode.value}, got {limit}; lower it or set it to null"
            )
        train = train.part(0, limit)
    return train, validation


def _scaled(rows: Rows, divisor: np.float32) -> Split:
    return Split(np.divide(rows.images, divisor, dtype=np.float32), rows.labels)


def _dataset_digest(
    mode: Validation, divisor: np.float32, train: Rows, validation: Rows | None, test: Rows
) -> str:
    """Returns the hex SHA-256 of what a run is fed with.

    The stored bytes and the divisor stand for the scaled pixels: the same information in a quarter
    of the bytes. The divisor is the float32 that divides, so 255 and 255.0 are one.
    """
    rule = {"divisor": float(divisor).hex(), "validation": mode.value}
    sha = hashlib.sha256(json.dumps(rule, sort_keys=True).encode())
    for name, rows in (("train", train), ("validation", validation), ("test", test)):
        for array in (rows.images, rows.labels) if rows is not None else ():
            # Shape and type first: the same bytes in another form are other data.
            sha.update(f"\n{name} {array.shape} {array.dtype.str}\n".encode())
            sha.update(array.data)
    return sha.hexdigest()
