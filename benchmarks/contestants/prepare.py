"""Writes the work of `ours SETTING...` for the others: `prepare FOLDER SETTING...`."""

import sys
from pathlib import Path

import numpy as np

from benchmarks.contestants import work
from benchmarks.contestants.ours import configured
from mnist_bench.train.data import load_dataset


def main() -> None:
    from mnist_bench.train import models
    from mnist_bench.train.training import epoch_order

    folder, settings = Path(sys.argv[1]), configured(sys.argv[2:])
    dataset = load_dataset(settings.data)
    rows = len(dataset.train.labels)
    orders = [
        epoch_order(settings.seed, epoch, rows) for epoch in range(1, settings.train.epochs + 1)
    ]
    arrays = {
        "images": dataset.train.images.reshape(rows, -1),
        "labels": dataset.train.labels,
        "test_images": dataset.test.images.reshape(len(dataset.test.labels), -1),
        "test_labels": dataset.test.labels,
        "orders": np.stack(orders),
    }
    work.write(
        folder,
        {"batch_size": settings.train.batch_size, "optimizer": settings.optimizer.name.value},
        arrays,
        models.build(settings.model, settings.seed).get_weights(),
    )


if __name__ == "__main__":
    main()
