"""What a trained model says of the test images, digit by digit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model said of the test images.

    Attributes:
        classes: (n,) int64, the most probable digit.
        confidences: (n,) float32, its probability.
        labels: (n,) int32, the true digit.
    """

    classes: NDArray[np.int64]
    confidences: NDArray[np.float32]
    labels: NDArray[np.int32]

    @classmethod
    def of(cls, probabilities: NDArray[np.float32], labels: NDArray[np.int32]) -> "Predictions":
        """Returns the predictions of (n, 10) probabilities."""
        return cls(probabilities.argmax(axis=1), probabilities.max(axis=1), labels)

    def confusion(self) -> NDArray[np.int64]:
        """Returns counts (10, 10): rows the true digit, columns the predicted one."""
        matrix = np.zeros((10, 10), np.int64)
        np.add.at(matrix, (self.labels, self.classes), 1)
        return matrix

    def recalls(self) -> dict[str, float]:
        """Returns `test_recall_0` .. `_9`: the share of a digit's images that were right.

        A digit without images has none.
        """
        matrix = self.confusion()
        return {
            f"test_recall_{digit}": float(matrix[digit, digit] / total)
            for digit, total in enumerate(matrix.sum(axis=1))
            if total
        }
