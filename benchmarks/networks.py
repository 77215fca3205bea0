"""The three networks whose speed is published, and how much work an epoch of each is.

The counts follow the textbook: a dense layer from `inputs` to `outputs` units is three matrix
products a step (forward, gradient of the weights, gradient of the inputs), and the first layer does
without the last. Biases, activations and the loss are left out, as they vanish beside the products.
"""

from dataclasses import dataclass
from itertools import pairwise

PIXELS, CLASSES = 784, 10
STREAMS = {"adam": 7, "rmsprop": 5}
"""Arrays as large as the weights that one update reads and writes: the gradient is read, weights
and each moment are read and written."""


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product of float32: (rows, inner) times (inner, columns).

    Attributes:
        kind: `forward`, `weight_gradient` or `input_gradient`; which operand lies transposed in
            memory depends on it.
    """

    kind: str
    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> int:
        """A multiplication and an addition for each of its terms."""
        return 2 * self.rows * self.inner * self.columns


@dataclass(frozen=True, slots=True)
class Network:
    """Dense layers on 784 pixels, with the training that is timed."""

    hidden_units: tuple[int, ...]
    optimizer: str
    batch_size: int

    @property
    def name(self) -> str:
        """For people and for JSON, `784-1000-10 adam b32`."""
        return f"{'-'.join(map(str, self.widths))} {self.optimizer} b{self.batch_size}"

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of all layers, the pixels first."""
        return (PIXELS, *self.hidden_units, CLASSES)

    @property
    def overrides(self) -> list[str]:
        """The settings of `mnist_bench` that choose it."""
        return [
            f"model.hidden_units=[{','.join(map(str, self.hidden_units))}]",
            f"optimizer={self.optimizer}",
            f"train.batch_size={self.batch_size}",
        ]

    def steps(self, rows: int) -> int:
        """Returns the steps of an epoch; the last, partial batch is one."""
        return -(-rows // self.batch_size)

    def products(self) -> list[Product]:
        """Returns the matrix products of one step with a full batch."""
        batch = self.batch_size
        found = []
        for layer, (inputs, outputs) in enumerate(pairwise(self.widths)):
            found.append(Product("forward", batch, inputs, outputs))
            found.append(Product("weight_gradient", inputs, batch, outputs))
            if layer:
                found.append(Product("input_gradient", batch, outputs, inputs))
        return found

    def weight_counts(self) -> list[int]:
        """Returns the size of each variable: kernel and bias of each layer, in order."""
        return [
            size
            for inputs, outputs in pairwise(self.widths)
            for size in (inputs * outputs, outputs)
        ]

    def epoch_flops(self, rows: int) -> float:
        """Returns the floating-point operations of all products of an epoch."""
        return sum(product.flops for product in self.products()) * rows / self.batch_size

    def epoch_optimizer_bytes(self, rows: int) -> int:
        """Returns what the updates of an epoch read and write, in bytes."""
        return STREAMS[self.optimizer] * 4 * sum(self.weight_counts()) * self.steps(rows)


WIDE = Network((1000,), "adam", 32)
NARROW = Network((64, 64), "rmsprop", 64)
STACKED = Network((784, 64), "rmsprop", 64)
NETWORKS = (WIDE, NARROW, STACKED)
