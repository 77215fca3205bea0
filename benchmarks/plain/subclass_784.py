"""The second notebook's fourth model as a plain script: a subclass of Model."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from tensorflow import keras

mpl.use("Agg")
import matplotlib.pyplot as plt

MNIST = Path(__file__).parents[2] / "mnist_bench" / "resources" / "mnist.npz"

with np.load(MNIST) as mnist:
    x_train, y_train = mnist["x_train"], mnist["y_train"]
    x_test, y_test = mnist["x_test"], mnist["y_test"]
print(x_train.shape, y_train.shape, x_test.shape, y_test.shape)

x_train = x_train.reshape(60000, 784).astype("float32") / 225  # sic
x_test = x_test.reshape(10000, 784).astype("float32") / 225


class Network(keras.Model):
    """Two hidden layers."""

    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(784, activation="relu")
        self.second = keras.layers.Dense(64, activation="relu")
        self.last = keras.layers.Dense(10, activation="softmax")

    def call(self, inputs):
        """Returns the probabilities of the ten digits."""
        return self.last(self.second(self.first(inputs)))


model = Network()
model.build((None, 784))
model.summary()
model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x_train, y_train, epochs=10, batch_size=64, verbose=2)

for metric in ("accuracy", "loss"):
    plt.figure()
    plt.plot(history.history[metric], label=metric)
    plt.legend()
    plt.savefig(f"{metric}.png")

print("first test image:", np.argmax(model.predict(x_test[:1])), "true:", y_test[0])
print("test accuracy:", model.evaluate(x_test, y_test, verbose=0)[1])
