"""The start of TensorFlow, without the lines that mean nothing."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

STARTUP_NOISE = re.compile(
    rb"All log messages before absl::InitializeLog"
    rb"|^[IE]\d{4} .*(port|cudart_stub|cuda_platform|cuda_dnn|cuda_blas|cpu_feature_guard)\.cc"
    rb"|^To enable the following instructions"
)
"""What TensorFlow writes at each start on a machine without a GPU, before it has a logger."""


@contextmanager
def without_startup_noise() -> Iterator[None]:
    """Holds back what native code writes to standard error in a block, but for the known noise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not STARTUP_NOISE.search(line):
                    os.write(2, line)
