"""Reads and verifies the files that hold images and labels.

Files are hostile until checked: an array's form is judged by its header before memory is spent on
it, nothing is ever unpickled, and whatever is wrong with a file becomes a refusal of one line.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from mnist_bench.config.schema import DataConfig, DataName
from mnist_bench.errors import Refusal
from mnist_bench.text import shown

MNIST_FILE = Path(__file__).parent.parent / "resources" / "mnist.npz"
MNIST_SHA256 = "e4c5331d81fa1f83fa247b2931f05ce6dce237ff4316c44fc118391e0d323354"
MAX_ROWS = 1_000_000
"""Of one array: 14 times MNIST's, and few enough that no small file unpacks to fill the memory."""

MAX_PATH_SHOWN = 300
IMAGE_SHAPE = (28, 28)

IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
"""The four arrays as an `.npz` names them, and the usual names of the IDX files that hold them."""

# What gzip, zipfile and NumPy's header parser raise on broken bytes (found by fuzzing and reading).
# A long list, but not `Exception`: a mistake of ours, such as an AttributeError, must stay one.
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    MemoryError,
    TokenError,
    zlib.error,
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as they are stored: (n, 28, 28) uint8 images, and (n,) int32 labels in 0..9."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int) -> Rows:
        """Returns the rows from `start` up to `stop`, as views."""
        return Rows(self.images[start:stop], self.labels[start:stop])


_Arrays = dict[str, npt.NDArray[Any]]


def read_rows(config: DataConfig) -> tuple[Rows, Rows]:
    """Returns the verified training and test rows of the configured source."""
    if config.path is not None:
        where = f"data.path={shown(config.path, limit=MAX_PATH_SHOWN)}"
        arrays = _read_path(Path(config.path), where)
    else:
        where = f"data.name={config.name.value}"
        if config.name is DataName.custom:
            raise Refusal(f"{where} needs data.path, got null; give an .npz file or a folder")
        arrays = _read_keras(where) if config.name is DataName.fashion_mnist else _read_mnist(where)
    train = _checked_rows(arrays, "train", where)
    return train, _checked_rows(arrays, "test", where)


def _read_mnist(where: str) -> _Arrays:
    # Not the absolute path, which would tell where somebody's home is.
    where = f"{where}: the packaged {MNIST_FILE.name}"
    with _reading(f"{where} is not readable", "reinstall mnist-bench"):
        content = MNIST_FILE.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != MNIST_SHA256:
        raise Refusal(
            f"{where} must have the SHA-256 {MNIST_SHA256}, got {digest}; reinstall mnist-bench"
        )
    return _read_npz(io.BytesIO(content), where)


def _read_keras(where: str) -> _Arrays:
    try:
        # Takes seconds, TensorFlow comes with it: only for those who ask for this data set.
        from keras.datasets import fashion_mnist

        (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    except Exception as error:  # Keras raises a bare `Exception` for a failed download
        raise Refusal(
            f"{where} could not be loaded by Keras ({_reason(error)}); give data.path, "
            "an .npz file or a folder of IDX files, or go online (a broken download: empty "
            "datasets/fashion-mnist in Keras's cache first)"
        ) from error
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    for name, array in arrays.items():
        _check_form(name, array.shape, array.dtype, where)
    return arrays


def _read_path(path: Path, where: str) -> _Arrays:
    with _reading(f"{where} is not readable", "check the path"):
        mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return _read_idx_folder(path, where)
    if stat.S_ISREG(mode):
        return _read_npz(path, where)
    # A pipe or a device would be waited for, or read, for ever.
    raise Refusal(
        f"{where} must be an .npz file or a folder of IDX files, got neither; check the path"
    )


def _read_npz(file: Path | io.BytesIO, where: str) -> _Arrays:
    """Returns the four arrays of an `.npz`."""
    with (
        _reading(f"{where} is not a readable .npz file", "get or save the file again"),
        zipfile.ZipFile(file) as archive,
    ):
        missing = [name for name in IDX_FILES if f"{name}.npy" not in archive.namelist()]
        if missing:
            raise Refusal(
                f"{where} must hold the arrays {', '.join(IDX_FILES)}, got none named "
                f"{', '.join(missing)}; save it with numpy.savez and these names"
            )
        return {name: _read_npy(archive, name, where) for name in IDX_FILES}


def _read_npy(archive: zipfile.ZipFile, name: str, where: str) -> npt.NDArray[Any]:
    """Returns one array; `numpy.load` would allocate whatever the header claims."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refusal(
            f"{where}: {name} must be stored or deflated, got zip method {info.compress_type}; "
            "save it with numpy.savez"
        )
    with (
        _reading(f"{where}: {name} is not readable", "get or save the file again"),
        archive.open(info) as member,
    ):
        # What the parser says of a broken header ("tuple index out of range") needs its context.
        with _reading(f"{where}: {name} has a broken .npy header", "get or save the file again"):
            version = np.lib.format.read_magic(member)
            # Later formats serve structured arrays, with headers of any length.
            if version != (1, 0):
                raise Refusal(
                    f"{where}: {name} must be in .npy format 1.0, got {version}; "
                    "save it with numpy.savez as a plain array"
                )
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
            _check_form(name, shape, dtype, where)
        flat = np.frombuffer(_read_exactly(member, math.prod(shape) * dtype.itemsize), dtype)
        return flat.reshape(shape, order="F" if fortran_order else "C")


def _read_idx_folder(folder: Path, where: str) -> _Arrays:
    """Returns the four arrays of a folder in the format of http://yann.lecun.com/exdb/mnist."""
    with _reading(f"{where} is not readable", "check the folder"):
        files = {name: _find_idx(folder, usual) for name, usual in IDX_FILES.items()}
    missing = [IDX_FILES[name] for name, file in files.items() if file is None]
    if missing:
        raise Refusal(
            f"{where} must hold the files {', '.join(IDX_FILES.values())} (.idx in place of -idx, "
            f"and .gz at the end, will do), got none for {', '.join(missing)}; add what is missing"
        )
    return {name: _read_idx(name, file, where) for name, file in files.items() if file is not None}


def _find_idx(folder: Path, usual: str) -> Path | None:
    # Unpacked by hand, the files are often named train-images.idx3-ubyte.
    stems = (usual, usual.replace("-idx", ".idx"))
    candidates = [folder / f"{stem}{ending}" for stem in stems for ending in ("", ".gz")]
    return next((file for file in candidates if file.is_file()), None)


def _read_idx(name: str, file: Path, where: str) -> npt.NDArray[np.uint8]:
    """Returns the array of an IDX file: magic, a big-endian uint32 a dimension, the bytes."""
    dimensions = 3 if name.startswith("x_") else 1
    magic = bytes([0, 0, 8, dimensions])  # 8 means unsigned bytes
    with (
        _reading(f"{where}: {file.name} is not readable", "get or unpack the file again"),
        gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream,
    ):
        found = stream.read(len(magic))
        if found != magic:
            raise Refusal(
                f"{where}: {file.name} must begin with the IDX magic {magic.hex()}, got "
                f"{found.hex() or 'an empty file'}; get or unpack the file again"
            )
        header = stream.read(4 * dimensions)
        if len(header) < 4 * dimensions:
            raise EOFError("the file ends in its header")
        shape = tuple(np.frombuffer(header, ">u4").tolist())
        _check_form(name, shape, np.dtype(np.uint8), f"{where}: {file.name}")
        return np.frombuffer(_read_exactly(stream, math.prod(shape)), np.uint8).reshape(shape)


def _read_exactly(stream: IO[bytes] | io.BufferedIOBase, size: int) -> bytes:
    # One byte more than promised: it tells of surplus, and only at the end do zip and gzip compare
    # their checksums.
    content = stream.read(size + 1)
    if len(content) != size:
        held = "more" if len(content) > size else f"{len(content)}"
        raise EOFError(f"its header promises {size} bytes of data, it holds {held}")
    return content


def _check_form(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> None:
    """Raises Refusal unless shape and type are those of images (`x_`) or labels (`y_`)."""
    if name.startswith("x_"):
        rule, fits = "(n, 28, 28) uint8", shape[1:] == IMAGE_SHAPE and dtype == np.uint8
    else:
        rule, fits = "(n,) integers", len(shape) == 1 and dtype.kind in "iu"
    if not fits:
        advice = "save numbers, pickles are never loaded" if dtype.hasobject else "convert it"
        raise Refusal(
            f"{where}: {name} must be {rule}, got {shown(shape)} {shown(dtype)}; {advice}"
        )
    if not 1 <= shape[0] <= MAX_ROWS:
        raise Refusal(
            f"{where}: {name} must have 1 to {MAX_ROWS} rows, got {shown(shape[0])}; "
            "give a file with so many"
        )


def _checked_rows(arrays: _Arrays, part: str, where: str) -> Rows:
    """Returns the images and labels of `train` or `test`, checked against each other."""
    images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if len(images) != len(labels):
        raise Refusal(
            f"{where}: x_{part} and y_{part} must have equal length, got {len(images)} and "
            f"{len(labels)}; save matching rows"
        )
    wrong = labels[(labels < 0) | (labels > 9)]
    if wrong.size:
        raise Refusal(
            f"{where}: y_{part} must hold labels 0 to 9, got {wrong[0]} "
            f"({wrong.size} rows outside); relabel them or leave them out"
        )
    return Rows(np.ascontiguousarray(images), labels.astype(np.int32))


@contextmanager
def _reading(problem: str, advice: str) -> Iterator[None]:
    """Turns whatever unreadable or broken files raise into one line."""
    try:
        yield
    except Refusal:
        raise
    except BROKEN as error:
        raise Refusal(f"{problem} ({_reason(error)}); {advice}") from error


def _reason(error: Exception) -> str:
    # An OSError's own text repeats the path.
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shown(text or type(error).__name__, limit=MAX_PATH_SHOWN)
