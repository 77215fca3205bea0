"""Reading digits with the model that a run logged. Here, too, TensorFlow and MLflow meet."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_bench import tracking
from mnist_bench.images import Digit
from mnist_bench.selection import ComparisonError
from mnist_bench.startup import without_startup_noise

if TYPE_CHECKING:
    from mnist_bench.tracking import Client, StoredRun


def read(client: "Client", run: "StoredRun", digits: Sequence[Digit]) -> NDArray[np.float32]:
    """Returns the probabilities (n, 10) that the model of a run gives for pictures.

    The pixels are scaled as the run scaled those that it was trained on.

    Raises:
        ComparisonError: If the run has no model, or one that cannot be used.
        tracking.TrackingError: If the store cannot be read.
    """
    with tracking.logged_model(client, run.run_id) as file:
        if file is None:
            raise ComparisonError(
                f"{run.name}: this run kept no model (those of a sweep keep none by default); "
                "train it as a single run, with sweep.resume=off tracking.log_model=true"
            )
        with without_startup_noise():
            from mnist_bench import models

            try:
                model = models.load(file)
            except models.ModelError as error:
                raise ComparisonError(f"{run.name}: {error}") from error
            pixels = np.stack([digit.pixels for digit in digits])
            scaled = np.divide(pixels, np.float32(run.params["data.divisor"]), dtype=np.float32)
            return np.asarray(model(scaled))
