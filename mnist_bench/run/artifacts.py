"""The files that a run leaves: figures, tables, predictions and its configuration."""

import csv
import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from mnist_bench.config.schema import PublishedConfig
from mnist_bench.metrics import CURVES
from mnist_bench.run import figures
from mnist_bench.run.predictions import Predictions


def write_settings(folder: Path, config: dict[str, Any], overrides: Sequence[str]) -> None:
    """Writes `config.yaml` and `overrides.yaml`."""
    for name, content in (("config", config), ("overrides", list(overrides))):
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def write_history(folder: Path, epochs: Sequence[Mapping[str, Any]]) -> None:
    """Writes `history.csv`: a row an epoch, empty where a value is missing or not finite."""
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, epochs[0] if epochs else ["epoch"])
        writer.writeheader()
        for epoch in epochs:
            finite = {k: v for k, v in epoch.items() if v is not None and np.isfinite(v)}
            writer.writerow(finite)


def write_curves(
    folder: Path,
    title: str,
    epochs: Sequence[Mapping[str, Any]],
    published: PublishedConfig | None,
    note: str,
) -> None:
    """Draws `curves/accuracy.png` and `curves/loss.png` of the metrics of each epoch.

    Published figures are drawn beside them; the note is what a reader has to know of this run.
    """
    ours = {key: [e[key] for e in epochs] for key in epochs[0] if epochs[0][key] is not None}
    theirs = published.curves if published else {}
    for metric, keys in CURVES.items():
        measured, reported = (
            {name: curves[key] for name, key in keys.items() if key in curves}
            for curves in (ours, theirs)
        )
        figure = figures.curves(title, metric, measured, reported, note=note)
        _save(figure, folder / f"curves/{metric}.png")


def write_predictions(
    folder: Path,
    title: str,
    test_images: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    predictions: Predictions,
) -> None:
    """Writes what the model said of the test images, as numbers and as figures."""
    np.savez_compressed(
        folder / "predictions.npz",
        predicted=predictions.classes.astype(np.uint8),
        label=predictions.labels.astype(np.uint8),
        probability=predictions.confidences.astype(np.float16),
    )
    matrix = predictions.confusion()
    with (folder / "confusion_matrix.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["true", *(f"predicted_{digit}" for digit in range(10))])
        writer.writerows([digit, *row] for digit, row in enumerate(matrix.tolist()))
    _save(figures.confusion_matrix(matrix, title), folder / "confusion_matrix.png")
    labels = predictions.labels
    mistakes = figures.surest_mistakes(
        test_images, labels, predictions.classes, predictions.confidences, title
    )
    _save(mistakes, folder / "images/mistakes.png")
    first = figures.first_test_image(test_images[0], int(labels[0]), probabilities[0], title)
    _save(first, folder / "images/first_test_image.png")


def write_training_samples(
    folder: Path, images: NDArray[np.float32], labels: NDArray[np.int32]
) -> None:
    """Draws the first images that the model is trained on."""
    first = slice(figures.SHOWN)
    path = folder / "images/training_samples.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(_samples_png(images[first].tobytes(), labels[first].tobytes()))


@lru_cache(maxsize=1)
def _samples_png(images: bytes, labels: bytes) -> bytes:
    """Returns the picture of float32 images and int32 labels, the same for all runs of a sweep."""
    pixels = np.frombuffer(images, np.float32).reshape(-1, 28, 28)
    file = io.BytesIO()
    figures.save(figures.training_samples(pixels, np.frombuffer(labels, np.int32)), file)
    return file.getvalue()


def write_summary(folder: Path, model: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    """Writes `model_summary.txt`: the shape of the images of each split, then Keras's summary."""
    lines = [f"{split} images: {shape}" for split, shape in shapes.items()]
    model.summary(print_fn=lines.append, line_length=80)
    text = "".join(f"{line}\n" for line in lines)
    (folder / "model_summary.txt").write_text(text, encoding="utf-8")


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    figures.save(figure, path)
