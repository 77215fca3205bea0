"""The first notebook as a plain script: one wide layer, Adam, validated on the test set."""

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

plt.figure(figsize=(10, 8))
for i in range(20):
    plt.subplot(4, 5, i + 1)
    plt.imshow(x_train[i], cmap="gray")
    plt.title(y_train[i])
    plt.axis("off")
plt.savefig("samples.png")

x_train, x_test = x_train / 255.0, x_test / 255.0

model = keras.Sequential(
    [
        keras.Input((28, 28)),
        keras.layers.Flatten(),
        keras.layers.Dense(1000, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.summary()
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(
    x_train, y_train, epochs=10, batch_size=32, validation_data=(x_test, y_test), verbose=2
)

for metric in ("accuracy", "loss"):
    plt.figure()
    plt.plot(history.history[metric], label=metric)
    plt.plot(history.history[f"val_{metric}"], label=f"val_{metric}")
    plt.legend()
    plt.savefig(f"{metric}.png")

print("first test image:", np.argmax(model.predict(x_test[:1])), "true:", y_test[0])
print("test accuracy:", model.evaluate(x_test, y_test, verbose=0)[1])
