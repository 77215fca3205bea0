"""Times the work that no epoch can do without, in one library: `kernels LIBRARY NETWORK`.

These are the matrix products of a step and the update of all weights, each repeated on arrays of
the real size, so that they lie in the caches as they do in training. The libraries are `xla` (a
loop inside one compiled TensorFlow program, which is how an epoch runs), `numpy` and `torch`. Each
figure is the best of several repetitions: a bound must not be loose because the machine was busy.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.networks import NETWORKS, Network, Product

REPETITIONS = 5
SECONDS = 0.15
"""About the length of one repetition."""
OPERANDS = 16
"""XLA would take a product of the same operands out of the loop, so it gets these in turn."""

Operands = tuple[NDArray[np.float32], NDArray[np.float32], bool, bool]
"""Left and right operand as they lie in memory, and whether each is to be transposed."""


def operands(product: Product, rng: np.random.Generator) -> Operands:
    """Returns operands in the layout of training: weights (inputs, outputs), batches (rows, units).

    The left one has an axis of `OPERANDS` in front.
    """
    left = (product.rows, product.inner)
    right = (product.inner, product.columns)
    turn_left = product.kind == "weight_gradient"
    turn_right = product.kind == "input_gradient"
    return (
        rng.standard_normal((OPERANDS, *(left[::-1] if turn_left else left)), np.float32),
        rng.standard_normal(right[::-1] if turn_right else right, np.float32),
        turn_left,
        turn_right,
    )


def seconds_each(repeat: Callable[[int], object]) -> float:
    """Returns the best time of one of the things that `repeat` does as often as it is told."""
    repeat(2)
    began = time.perf_counter()
    repeat(20)
    times = max(20, int(SECONDS / (time.perf_counter() - began) * 20))
    measured = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        repeat(times)
        measured.append((time.perf_counter() - began) / times)
    return min(measured)


def xla_product(product: Product, rng: np.random.Generator) -> float:
    import tensorflow as tf

    left, right, turn_left, turn_right = operands(product, rng)

    @tf.function(jit_compile=True)
    def run(left: Any, right: Any, times: Any) -> Any:
        def body(step: Any, _: Any) -> Any:
            result = tf.matmul(
                left[step % OPERANDS], right, transpose_a=turn_left, transpose_b=turn_right
            )
            return step + 1, result

        start = (0, tf.zeros((product.rows, product.columns)))
        return tf.while_loop(lambda step, _: step < times, body, start)[1]

    constants = tf.constant(left), tf.constant(right)
    return seconds_each(lambda times: run(*constants, tf.constant(times)).numpy())


def numpy_product(product: Product, rng: np.random.Generator) -> float:
    left, right, turn_left, turn_right = operands(product, rng)
    first = left[0].T if turn_left else left[0]
    second = right.T if turn_right else right
    result = np.empty((product.rows, product.columns), np.float32)
    return seconds_each(lambda times: [np.matmul(first, second, out=result) for _ in range(times)])


def torch_product(product: Product, rng: np.random.Generator) -> float:
    import torch

    left, right, turn_left, turn_right = operands(product, rng)
    first, second = torch.from_numpy(left[0]), torch.from_numpy(right)
    first = first.T if turn_left else first
    second = second.T if turn_right else second
    result = torch.empty((product.rows, product.columns))
    return seconds_each(lambda times: [torch.mm(first, second, out=result) for _ in range(times)])


def xla_update(network: Network, rng: np.random.Generator) -> float:
    import tensorflow as tf

    def adam(weight: Any, gradient: Any, first: Any, second: Any) -> Any:
        first += (gradient - first) * 0.1
        second += (gradient * gradient - second) * 0.001
        return weight - first * 0.001 / (tf.sqrt(second) + 1e-7), first, second

    def rmsprop(weight: Any, gradient: Any, second: Any) -> Any:
        second = 0.9 * second + 0.1 * gradient * gradient
        return weight - 0.001 * gradient / tf.sqrt(second + 1e-7), second

    update, moments = (adam, 2) if network.optimizer == "adam" else (rmsprop, 1)

    @tf.function(jit_compile=True)
    def run(gradients: Any, states: Any, times: Any) -> Any:
        def body(step: Any, states: Any) -> Any:
            # Else XLA would compute what depends on the gradients alone once, before the loop.
            sign = tf.cast(1 - 2 * (step % 2), tf.float32)
            return step + 1, [
                update(weight, gradient * sign, *rest)
                for gradient, (weight, *rest) in zip(gradients, states, strict=True)
            ]

        return tf.while_loop(lambda step, _: step < times, body, (0, states))[1]

    gradients = [tf.constant(rng.random(size, np.float32)) for size in network.weight_counts()]
    states = [tuple(tf.ones_like(one) for _ in range(1 + moments)) for one in gradients]
    return seconds_each(lambda times: run(gradients, states, tf.constant(times))[0][0].numpy())


def torch_update(network: Network, rng: np.random.Generator) -> float | None:
    """Returns None for RMSprop, of which PyTorch has no fused kernel."""
    import torch

    if network.optimizer != "adam":
        return None
    weights = [torch.ones(size) for size in network.weight_counts()]
    for weight in weights:
        weight.grad = torch.from_numpy(rng.random(len(weight), np.float32))
    optimizer = torch.optim.Adam(weights, fused=True)
    return seconds_each(lambda times: [optimizer.step() for _ in range(times)])


PRODUCTS = {"xla": xla_product, "numpy": numpy_product, "torch": torch_product}
UPDATES = {"xla": xla_update, "torch": torch_update}
"""NumPy makes a pass over memory of each operation, so it is never the fastest."""


def main() -> None:
    library, name = sys.argv[1:]
    network = next(one for one in NETWORKS if one.name == name)
    rng = np.random.default_rng(0)
    update = UPDATES.get(library)
    measured = {
        "product_seconds": [PRODUCTS[library](one, rng) for one in network.products()],
        "update_seconds": update(network, rng) if update else None,
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
