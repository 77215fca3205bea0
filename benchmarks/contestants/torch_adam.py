"""PyTorch, one step at a time: `torch_adam FOLDER [--fused]`.

The data lies in tensors and an epoch takes its rows in one go, which is much faster than a
`DataLoader`. Adam adds its epsilon after the correction of the second moment and Keras before it,
so losses differ in the third digit.
"""

import sys
import time

import torch
from torch.nn import functional

from benchmarks.contestants import work


def main() -> None:
    given = work.read(work.folder())
    kernels = [torch.from_numpy(kernel.T.copy()) for kernel in given.weights[::2]]
    biases = [torch.from_numpy(bias) for bias in given.weights[1::2]]
    layers = [torch.nn.Linear(kernel.shape[1], kernel.shape[0]) for kernel in kernels]
    with torch.no_grad():
        for layer, kernel, bias in zip(layers, kernels, biases, strict=True):
            layer.weight.copy_(kernel)
            layer.bias.copy_(bias)
    hidden = [part for layer in layers[:-1] for part in (layer, torch.nn.ReLU())]
    model = torch.nn.Sequential(*hidden, layers[-1])
    # Keras's defaults; without `fused`, PyTorch's own choice for a CPU is a loop over the weights.
    fused = True if "--fused" in sys.argv else None
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=fused)
    images, labels = torch.from_numpy(given.images), torch.from_numpy(given.labels).long()

    seconds, losses = [], []
    for order in given.orders:
        began = time.perf_counter()
        rows = torch.from_numpy(order).long()
        loss_sum, right = torch.zeros(()), torch.zeros((), dtype=torch.long)
        batches = zip(
            images[rows].split(given.batch_size), labels[rows].split(given.batch_size), strict=True
        )
        for batch, truth in batches:
            scores = model(batch)
            loss = functional.cross_entropy(scores, truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(truth)
            right += (scores.argmax(1) == truth).sum()
        losses.append(loss_sum.item() / len(labels))
        seconds.append(time.perf_counter() - began)
    with torch.no_grad():
        predicted = model(torch.from_numpy(given.test_images)).argmax(1).numpy()
    work.hand_back(seconds, losses, (predicted == given.test_labels).mean())


if __name__ == "__main__":
    main()
