"""JAX, an epoch as one compiled `lax.scan`, with Keras's Adam written out: `jax_scan FOLDER`.

Rows that do not fill a batch are refused rather than dropped: a scan's steps have one shape.
"""

import time
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.contestants import work

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7  # Keras's defaults


def loss_of(weights, images, labels):
    """Returns the mean loss, and how many were right."""
    for kernel, bias in weights[:-1]:
        images = jax.nn.relu(images @ kernel + bias)
    kernel, bias = weights[-1]
    scores = images @ kernel + bias
    true = jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], axis=1)
    return -true.mean(), (scores.argmax(axis=1) == labels).sum()


def step(images, labels, state, rows):
    weights, first, second, count = state
    (loss, right), gradient = jax.value_and_grad(loss_of, has_aux=True)(
        weights, images[rows], labels[rows]
    )
    count += 1
    rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
    first = jax.tree.map(lambda m, g: m + (g - m) * (1 - BETA_1), first, gradient)
    second = jax.tree.map(lambda v, g: v + (g * g - v) * (1 - BETA_2), second, gradient)
    weights = jax.tree.map(
        lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), weights, first, second
    )
    return (weights, first, second, count), (loss, right)


@partial(jax.jit, donate_argnums=0)
def epoch(state, images, labels, order):
    state, (losses, right) = lax.scan(partial(step, images, labels), state, order)
    return state, losses.mean(), right.sum()


def main() -> None:
    given = work.read(work.folder())
    if len(given.labels) % given.batch_size:
        raise SystemExit(f"{len(given.labels)} rows do not divide into {given.batch_size}")
    pairs = zip(given.weights[::2], given.weights[1::2], strict=True)
    weights = [(jnp.asarray(kernel), jnp.asarray(bias)) for kernel, bias in pairs]
    zeros = partial(jax.tree.map, jnp.zeros_like)
    state = (weights, zeros(weights), zeros(weights), jnp.float32(0))
    images, labels = jnp.asarray(given.images), jnp.asarray(given.labels)

    seconds, losses = [], []
    for order in given.orders:
        began = time.perf_counter()
        steps = jnp.asarray(order.reshape(-1, given.batch_size))
        state, loss, right = epoch(state, images, labels, steps)
        jax.block_until_ready((state, loss, right))
        seconds.append(time.perf_counter() - began)
        losses.append(loss)
    test = jnp.asarray(given.test_images), jnp.asarray(given.test_labels)
    _, right = jax.jit(loss_of)(state[0], *test)
    work.hand_back(seconds, losses, right / len(given.test_labels))


if __name__ == "__main__":
    main()
