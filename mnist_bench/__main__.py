"""The door of `python -m mnist_bench`."""

import sys

from mnist_bench.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
