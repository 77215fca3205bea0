"""The plugin of `mnist_bench` for Hydra."""
