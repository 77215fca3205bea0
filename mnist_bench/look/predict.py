"""Reading digits with the model that a run logged. Here, too, TensorFlow and MLflow meet."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_bench.errors import Refusal
from mnist_bench.look.pictures import Digit
from mnist_bench.store.runs import logged_model
from mnist_bench.train.startup import without_startup_noise

if TYPE_CHECKING:
    from mnist_bench.store.opening import Client
    from mnist_bench.store.runs import StoredRun


def read_digits(client: "Client", run: "StoredRun", digits: Sequence[Digit]) -> NDArray[np.float32]:
    """Returns the probabilities (n, 10) that the model of a run gives for pictures.

    The pixels are scaled as the run scaled those that it was trained on.

    Raises:
        Refusal: If the run has no model, or one that cannot be used.
        StoreError: If the store cannot be read.
    """
    with logged_model(client, run.run_id) as file:
        if file is None:
            raise Refusal(
                f"{run.name}: this run kept no model (those of a sweep keep none by default); "
                "train it as a single run, with sweep.resume=off tracking.log_model=true"
            )
        with without_startup_noise():
            from mnist_bench.train import models

            try:
                model = models.load_model(file)
            except Refusal as error:
                raise Refusal(f"{run.name}: {error}") from error
            pixels = np.stack([digit.pixels for digit in digits])
            scaled = np.divide(pixels, np.float32(run.params["data.divisor"]), dtype=np.float32)
            return np.asarray(model(scaled))
