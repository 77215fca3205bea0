"""Benchmark suite for MNIST networks whose verdicts can be trusted."""

__version__ = "0.1.0"
