import gzip
import hashlib
import io
import json
import os
import stat
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mnist_bench.config.schema import DataConfig, DataName, Validation
from mnist_bench.errors import Refusal
from mnist_bench.train import readers
from mnist_bench.train.data import Dataset, load_dataset
from mnist_bench.train.readers import MNIST_FILE

# From the README of the packaged file; the test must not take them from the code under test.
ARRAY_SHA256 = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]

IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}

Arrays = dict[str, np.ndarray]


def configure(
    path: Path | str | None = None,
    *,
    name: DataName | None = None,
    divisor: float = 255,
    validation: Validation = Validation.none,
    train_limit: int | None = None,
) -> DataConfig:
    return DataConfig(
        name=name or (DataName.custom if path else DataName.mnist),
        path=None if path is None else str(path),
        divisor=divisor,
        validation=validation,
        train_limit=train_limit,
    )


def tiny(train: int = 30, test: int = 12) -> Arrays:
    random = np.random.default_rng(7)
    return {
        "x_train": random.integers(0, 256, (train, 28, 28), dtype=np.uint8),
        "y_train": random.integers(0, 10, train, dtype=np.uint8),
        "x_test": random.integers(0, 256, (test, 28, 28), dtype=np.uint8),
        "y_test": random.integers(0, 10, test, dtype=np.uint8),
    }


def save_npz(folder: Path, arrays: Mapping[str, object], *, deflated: bool = False) -> Path:
    path = folder / "data.npz"
    (np.savez_compressed if deflated else np.savez)(path, **arrays)
    return path


def idx_bytes(array: np.ndarray) -> bytes:
    """The documented IDX format: two zeros, 8 for uint8, the rank, big-endian sizes, the bytes."""
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def save_idx(
    folder: Path, arrays: Arrays, *, zipped: bool = False, names: Mapping[str, str] = IDX_NAMES
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for key, array in arrays.items():
        content = idx_bytes(array)
        if zipped:
            (folder / f"{names[key]}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / names[key]).write_bytes(content)
    return folder


def npy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0))
    return file.getvalue()


def save_members(folder: Path, changed: Mapping[str, bytes], *, method: int = 0) -> Path:
    """An .npz of tiny arrays with some members replaced by raw bytes."""
    members = {key: npy_bytes(array) for key, array in tiny().items()} | changed
    path = folder / "data.npz"
    with zipfile.ZipFile(path, "w", compression=method) as archive:
        for key, content in members.items():
            archive.writestr(f"{key}.npy", content)
    return path


def claim(shape: str, descr: str = "'|u1'", *, held: int = 64) -> bytes:
    """A .npy member whose header may claim anything."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(held)


def refusal(config: DataConfig) -> str:
    with pytest.raises(Refusal) as caught:
        load_dataset(config)
    message = str(caught.value)
    assert message.isprintable(), repr(message)  # a newline is not printable
    assert len(message) < 1_000
    assert "; " in message  # what to do
    return message


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load_dataset(configure())


class TestMnist:
    def test_shapes_types_and_range(self, mnist):
        assert mnist.name == "mnist"
        assert mnist.validation is None
        for split, rows in ((mnist.train, 60_000), (mnist.test, 10_000)):
            assert split.images.shape == (rows, 28, 28)
            assert split.images.dtype == np.float32
            assert split.images.flags.c_contiguous
            assert (split.images.min(), split.images.max()) == (0, 1)
            assert split.labels.shape == (rows,)
            assert split.labels.dtype == np.int32

    def test_pixels_and_labels_are_the_published_ones(self, mnist):
        found = {
            "x_train": np.rint(mnist.train.images * 255).astype(np.uint8),
            "y_train": mnist.train.labels.astype(np.uint8),
            "x_test": np.rint(mnist.test.images * 255).astype(np.uint8),
            "y_test": mnist.test.labels.astype(np.uint8),
        }
        assert {key: hashlib.sha256(a.data).hexdigest() for key, a in found.items()} == ARRAY_SHA256

    def test_statistics_are_the_published_ones(self, mnist):
        assert np.bincount(mnist.train.labels).tolist() == TRAIN_COUNTS
        assert np.bincount(mnist.test.labels).tolist() == TEST_COUNTS
        assert round(float(mnist.train.images.mean(dtype=np.float64)), 4) == 0.1307
        assert round(float(mnist.train.images.std(dtype=np.float64)), 4) == 0.3081

    def test_scaling_is_float32_division(self, mnist):
        stored = np.load(MNIST_FILE)["x_test"]
        expected = stored.astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(mnist.test.images, expected)
        slip = load_dataset(configure(divisor=225, train_limit=1)).test
        np.testing.assert_array_equal(slip.images, stored.astype(np.float32) / np.float32(225))

    def test_holdout_removes_the_last_rows(self, mnist):
        held = load_dataset(configure(validation=Validation.holdout))
        assert held.train.images.shape == (50_000, 28, 28)
        np.testing.assert_array_equal(held.train.images, mnist.train.images[:50_000])
        np.testing.assert_array_equal(held.train.labels, mnist.train.labels[:50_000])
        np.testing.assert_array_equal(held.validation.images, mnist.train.images[50_000:])
        np.testing.assert_array_equal(held.validation.labels, mnist.train.labels[50_000:])
        np.testing.assert_array_equal(held.test.labels, mnist.test.labels)
        # Pinned: a stored run is recognised by it.
        assert held.digest == "9e4683a92c01792dba6661126bb58987d16cc4654dc658f5aa2f10f38beffdf9"

    def test_train_tail_stays_in_training_without_a_copy(self, mnist):
        tail = load_dataset(configure(validation=Validation.train_tail))
        assert len(tail.train.labels) == 60_000
        assert np.shares_memory(tail.validation.images, tail.train.images)
        np.testing.assert_array_equal(tail.validation.images, mnist.train.images[50_000:])
        np.testing.assert_array_equal(tail.validation.labels, mnist.train.labels[50_000:])

    def test_test_validates_on_the_test_split(self):
        selected = load_dataset(configure(validation=Validation.test, train_limit=10))
        assert selected.validation is selected.test
        assert len(selected.test.labels) == 10_000

    @pytest.mark.parametrize("validation", list(Validation))
    def test_limit_keeps_the_first_training_rows_and_all_others(self, mnist, validation):
        limited = load_dataset(configure(validation=validation, train_limit=1_000))
        np.testing.assert_array_equal(limited.train.images, mnist.train.images[:1_000])
        np.testing.assert_array_equal(limited.train.labels, mnist.train.labels[:1_000])
        assert len(limited.test.labels) == 10_000
        if validation in (Validation.holdout, Validation.train_tail):
            np.testing.assert_array_equal(limited.validation.labels, mnist.train.labels[50_000:])

    def test_a_flipped_byte_in_the_packaged_file_is_detected(self, tmp_path, monkeypatch):
        content = bytearray(MNIST_FILE.read_bytes())
        content[len(content) // 2] ^= 1
        copy = tmp_path / "mnist.npz"
        copy.write_bytes(content)
        monkeypatch.setattr(readers, "MNIST_FILE", copy)
        message = refusal(configure())
        assert "data.name=mnist: the packaged mnist.npz must have the SHA-256 e4c5331d" in message
        assert "reinstall" in message
        assert str(tmp_path) not in message

    def test_a_missing_packaged_file_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setattr(readers, "MNIST_FILE", tmp_path / "mnist.npz")
        message = refusal(configure())
        assert "the packaged mnist.npz is not readable (No such file or directory)" in message


class TestOwnFiles:
    @pytest.mark.parametrize("deflated", [False, True])
    def test_npz_gives_the_stored_rows(self, tmp_path, deflated):
        arrays = tiny()
        loaded = load_dataset(configure(save_npz(tmp_path, arrays, deflated=deflated)))
        assert loaded.name == "custom"
        scaled = arrays["x_train"].astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(loaded.train.images, scaled)
        np.testing.assert_array_equal(loaded.test.labels, arrays["y_test"])

    @pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
    @pytest.mark.parametrize("dotted", [False, True], ids=["dash", "dot"])
    def test_idx_round_trip_is_bit_equal(self, tmp_path, zipped, dotted):
        names = {k: v.replace("-idx", ".idx") if dotted else v for k, v in IDX_NAMES.items()}
        arrays = tiny()
        folder = save_idx(tmp_path / "idx", arrays, zipped=zipped, names=names)
        loaded = load_dataset(configure(folder, divisor=1))
        np.testing.assert_array_equal(loaded.train.images.astype(np.uint8), arrays["x_train"])
        np.testing.assert_array_equal(loaded.train.labels, arrays["y_train"])
        np.testing.assert_array_equal(loaded.test.images.astype(np.uint8), arrays["x_test"])
        np.testing.assert_array_equal(loaded.test.labels, arrays["y_test"])
        assert (
            loaded.digest == load_dataset(configure(save_npz(tmp_path, arrays), divisor=1)).digest
        )

    def test_real_mnist_as_idx_is_the_packaged_data(self, tmp_path, mnist):
        with np.load(MNIST_FILE) as stored:
            folder = save_idx(tmp_path / "idx", {key: stored[key] for key in IDX_NAMES})
        assert load_dataset(configure(folder)).digest == mnist.digest

    def test_fashion_mnist_from_a_path_keeps_its_name(self, tmp_path):
        path = save_npz(tmp_path, tiny())
        assert load_dataset(configure(path, name=DataName.fashion_mnist)).name == "fashion_mnist"

    @pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.int64, ">i2"])
    def test_labels_may_be_any_integers(self, tmp_path, dtype):
        arrays = tiny()
        expected = load_dataset(configure(save_npz(tmp_path, arrays)))
        arrays["y_train"] = arrays["y_train"].astype(dtype)
        loaded = load_dataset(configure(save_npz(tmp_path, arrays)))
        assert loaded.train.labels.dtype == np.int32
        assert loaded.digest == expected.digest

    def test_memory_order_of_the_file_does_not_matter(self, tmp_path):
        arrays = tiny()
        expected = load_dataset(configure(save_npz(tmp_path, arrays)))
        arrays["x_train"] = np.asfortranarray(arrays["x_train"])
        loaded = load_dataset(configure(save_npz(tmp_path, arrays)))
        assert loaded.digest == expected.digest
        assert loaded.train.images.flags.c_contiguous
        np.testing.assert_array_equal(loaded.train.images, expected.train.images)


class TestTooFewRows:
    def test_holdout_leaves_at_least_one_row(self, tmp_path):
        path = save_npz(tmp_path, tiny(train=10_001))
        held = load_dataset(configure(path, validation=Validation.holdout))
        assert (len(held.train.labels), len(held.validation.labels)) == (1, 10_000)

    @pytest.mark.parametrize(
        ("validation", "rows", "needed"),
        [(Validation.holdout, 10_000, 10_001), (Validation.train_tail, 9_999, 10_000)],
    )
    def test_validation_rows_must_be_there(self, tmp_path, validation, rows, needed):
        path = save_npz(tmp_path, tiny(train=rows))
        assert refusal(configure(path, validation=validation)) == (
            f"data.validation={validation.value} needs at least {needed} training rows, "
            f"got {rows}; use data.validation=none or data.validation=test"
        )

    def test_limit_counts_what_the_holdout_left(self, tmp_path):
        path = save_npz(tmp_path, tiny(train=10_005))
        exact = load_dataset(configure(path, validation=Validation.holdout, train_limit=5))
        assert len(exact.train.labels) == 5
        message = refusal(configure(path, validation=Validation.holdout, train_limit=6))
        assert message.startswith("data.train_limit must be at most 5, ")
        assert "data.validation=holdout, got 6; lower it or set it to null" in message


class TestDigest:
    def test_equal_inputs_have_equal_digests(self, tmp_path):
        path = save_npz(tmp_path, tiny())
        digest = load_dataset(configure(path, divisor=255)).digest
        assert digest == load_dataset(configure(path, divisor=255.0)).digest
        assert len(digest) == 64
        # Another file with the same rows left after the limit is the same input.
        limited = load_dataset(configure(path, train_limit=5)).digest
        shorter = tiny()
        shorter["x_train"], shorter["y_train"] = shorter["x_train"][:9], shorter["y_train"][:9]
        assert load_dataset(configure(save_npz(tmp_path, shorter), train_limit=5)).digest == limited

    def test_every_setting_changes_it(self, tmp_path):
        path = save_npz(tmp_path, tiny(train=10_100))
        configs = [configure(path, validation=validation) for validation in Validation]
        configs += [configure(path, divisor=225), configure(path, divisor=256)]
        configs += [configure(path, train_limit=limit) for limit in (1, 2, 100)]
        digests = [load_dataset(config).digest for config in configs]
        assert len(set(digests)) == len(digests)

    @pytest.mark.parametrize("key", list(IDX_NAMES))
    def test_every_array_counts(self, tmp_path, key):
        arrays = tiny()
        before = load_dataset(configure(save_npz(tmp_path, arrays))).digest
        value = arrays[key].reshape(-1)  # a view
        value[-1] = 9 if value[-1] != 9 else 8
        assert load_dataset(configure(save_npz(tmp_path, arrays))).digest != before


def with_array(key: str, change: Callable[[np.ndarray], object]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        arrays: dict[str, object] = dict(tiny())
        arrays[key] = change(tiny()[key])
        return save_npz(folder, arrays)

    return build


def without_array(folder: Path) -> Path:
    arrays = tiny()
    del arrays["y_test"]
    return save_npz(folder, arrays)


def with_idx(key: str, change: Callable[[bytes], bytes], *, zipped: bool = False):
    def build(folder: Path) -> Path:
        save_idx(folder / "idx", tiny(), zipped=zipped)
        file = folder / "idx" / (IDX_NAMES[key] + ".gz" * zipped)
        file.write_bytes(change(file.read_bytes()))
        return folder / "idx"

    return build


def with_bytes(change: Callable[[bytes], bytes], *, deflated: bool = False):
    def build(folder: Path) -> Path:
        path = save_npz(folder, tiny(), deflated=deflated)
        path.write_bytes(change(path.read_bytes()))
        return path

    return build


def with_member(content: bytes) -> Callable[[Path], Path]:
    return lambda folder: save_members(folder, {"x_train": content})


def flip(position: int) -> Callable[[bytes], bytes]:
    return lambda b: b[:position] + bytes([b[position] ^ 0xFF]) + b[position + 1 :]


def encrypt_flags(content: bytes) -> bytes:
    """Marks the first member as encrypted, in its local and in its central header."""
    flagged = bytearray(content)
    flagged[content.index(b"PK\x03\x04") + 6] |= 1
    flagged[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(flagged)


def break_deflate(content: bytes) -> bytes:
    """Gives the first member a deflate block of the one type that does not exist."""
    name_bytes, extra_bytes = struct.unpack("<HH", content[26:30])
    start = 30 + name_bytes + extra_bytes
    return content[:start] + b"\xff" + content[start + 1 :]


def text(folder: Path, content: bytes = b"") -> Path:
    path = folder / "data.npz"
    path.write_bytes(content)
    return path


def idx_without_test_labels(folder: Path) -> Path:
    save_idx(folder / "idx", tiny())
    (folder / "idx" / IDX_NAMES["y_test"]).unlink()
    return folder / "idx"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.npz")
    return folder / "pipe.npz"


def loop(folder: Path) -> Path:
    (folder / "loop.npz").symlink_to(folder / "loop.npz")
    return folder / "loop.npz"


IMAGES = "must be (n, 28, 28) uint8"
LABELS = "must be (n,) integers"
NOT_NPZ = "is not a readable .npz file"
TRAIN_IMAGES = IDX_NAMES["x_train"]

# What is wrong -> the file or folder, and what the one line must say.
BROKEN: dict[str, tuple[Callable[[Path], Path | str], list[str]]] = {
    # paths
    "missing": (lambda f: f / "no.npz", ["no.npz is not readable (No such file or directory)"]),
    "endless path": (lambda f: f / ("x" * 3_000), ["File name too long", "characters)"]),
    "path below a file": (lambda f: text(f) / "x.npz", ["Not a directory"]),
    "link to itself": (loop, ["Too many levels of symbolic links"]),
    "pipe": (pipe, ["must be an .npz file or a folder of IDX files"]),
    "device": (lambda f: "/dev/zero", ["must be an .npz file or a folder of IDX files"]),
    # the zip
    "empty file": (text, [NOT_NPZ, "not a zip file"]),
    "text": (lambda f: text(f, b"hello\n" * 99), [NOT_NPZ, "not a zip file"]),
    "bare npy": (lambda f: text(f, npy_bytes(np.zeros(3))), [NOT_NPZ]),
    "truncated": (with_bytes(lambda b: b[: len(b) // 2]), [NOT_NPZ, "not a zip file"]),
    "front cut off": (with_bytes(lambda b: b[400:]), ["data.npz: x_train is not readable"]),
    "bad CRC": (with_bytes(flip(3_000)), ["x_train is not readable", "CRC"]),
    "broken deflate": (
        with_bytes(break_deflate, deflated=True),
        ["x_train has a broken .npy header (Error -3", "invalid block type"],
    ),
    "encrypted": (with_bytes(encrypt_flags), ["x_train is not readable", "encrypted"]),
    "other compression": (
        lambda f: save_members(f, {}, method=zipfile.ZIP_LZMA),
        ["x_train must be stored or deflated, got zip method 14"],
    ),
    "array missing": (
        without_array,
        ["must hold the arrays x_train, y_train, x_test, y_test", "none named y_test"],
    ),
    "no arrays": (lambda f: save_npz(f, {"a": 1}), ["none named x_train, y_train, x_test, y_test"]),
    # the .npy members
    "not npy": (with_member(b"pixels"), ["x_train has a broken .npy header"]),
    "empty member": (with_member(b""), ["x_train has a broken .npy header"]),
    "bad header": (with_member(claim("(30, 28, 28")), ["x_train has a broken .npy header"]),
    "bad type": (with_member(claim("(3,28,28)", "('u1',)")), ["x_train has a broken .npy header"]),
    "nested header": (with_member(claim("(" * 5_000)), ["x_train has a broken .npy header"]),
    "npy format 3": (
        with_member(claim("(3, 28, 28)").replace(b"NUMPY\x01", b"NUMPY\x03")),
        ["x_train must be in .npy format 1.0, got (3, 0)"],
    ),
    "hostile type": (
        with_member(claim("(3, 28, 28)", "[('a\\nb<script>' + 0, '|u1')]")),
        ["x_train has a broken .npy header"],
    ),
    "long hostile type": (
        with_member(claim("(3, 28, 28)", str([(f"a\n{i}", "|u1") for i in range(400)]))),
        ["x_train must be (n, 28, 28) uint8, got (3, 28, 28) [('a", "characters)"],
    ),
    "long hostile number": (
        with_member(claim(f"(0x{'f' * 8_000}, 28, 28)")),
        ["x_train has a broken .npy header", "digits"],
    ),
    "fewer bytes than promised": (
        with_member(claim("(30, 28, 28)", held=64)),
        ["x_train is not readable (its header promises 23520 bytes of data, it holds 64)"],
    ),
    "more bytes than promised": (
        with_member(claim("(1, 28, 28)", held=785)),
        ["x_train is not readable (its header promises 784 bytes of data, it holds more)"],
    ),
    "huge claim": (
        with_member(claim("(1000000, 28, 28)")),
        ["x_train is not readable (its header promises 784000000 bytes of data, it holds 64)"],
    ),
    "endless claim": (
        with_member(claim("(10**18, 28, 28)".replace("10**18", "1" + "0" * 18))),
        ["x_train must have 1 to 1000000 rows, got 1000000000000000000"],
    ),
    "negative claim": (with_member(claim("(-1, 28, 28)")), ["1 to 1000000 rows, got -1"]),
    # shapes, types, values
    "pickled objects": (
        with_array("x_train", lambda a: np.array([{}, None, "x"], dtype=object)),
        [f"x_train {IMAGES}, got (3,) object; save numbers, pickles are never loaded"],
    ),
    "pickled labels": (
        with_array("y_train", lambda a: a.astype(object)),
        [f"y_train {LABELS}, got (30,) object", "pickles are never loaded"],
    ),
    "NaN": (
        with_array("x_train", lambda a: np.full(a.shape, np.nan, np.float32)),
        [f"x_train {IMAGES}, got (30, 28, 28) float32"],
    ),
    "scaled already": (with_array("x_test", lambda a: a / 255), [f"x_test {IMAGES}", "float64"]),
    "signed pixels": (with_array("x_test", lambda a: a.astype(np.int8)), [IMAGES, "int8"]),
    "flat": (with_array("x_train", lambda a: a.reshape(-1, 784)), [IMAGES, "got (30, 784) uint8"]),
    "with channels": (with_array("x_train", lambda a: a[..., None]), [IMAGES, "(30, 28, 28, 1)"]),
    "32 pixels": (with_array("x_train", lambda a: np.zeros((9, 32, 32), "u1")), ["(9, 32, 32)"]),
    "a number": (with_array("x_train", lambda a: np.uint8(3)), [IMAGES, "got () uint8"]),
    "no images": (with_array("x_test", lambda a: a[:0]), ["x_test must have 1 to", "got 0"]),
    "no labels": (with_array("y_test", lambda a: a[:0]), ["y_test must have 1 to", "got 0"]),
    "labels missing": (
        with_array("y_train", lambda a: a[:-1]),
        ["x_train and y_train must have equal length, got 30 and 29"],
    ),
    "one-hot labels": (
        with_array("y_train", lambda a: np.eye(10, dtype=np.uint8)[a]),
        [f"y_train {LABELS}, got (30, 10) uint8"],
    ),
    "float labels": (with_array("y_test", lambda a: a.astype(np.float32)), [LABELS, "float32"]),
    "NaN labels": (with_array("y_test", lambda a: a * np.nan), [LABELS, "float"]),
    "truth values": (with_array("y_test", lambda a: a > 4), [LABELS, "bool"]),
    "names as labels": (with_array("y_test", lambda a: a.astype(str)), [LABELS, "<U"]),
    "label 10": (
        with_array("y_train", lambda a: a + np.uint8(1)),
        ["y_train must hold labels 0 to 9, got 10", "rows outside"],
    ),
    "label -1": (
        with_array("y_test", lambda a: a.astype(np.int64) - 10),
        ["y_test must hold labels 0 to 9, got -", "(12 rows outside)"],
    ),
    "label beyond int32": (
        with_array("y_test", lambda a: a.astype(np.uint64) + np.uint64(2**63)),
        ["y_test must hold labels 0 to 9, got 922"],
    ),
    # IDX
    "empty folder": (
        lambda f: f,
        ["must hold the files " + ", ".join(IDX_NAMES.values()), ".gz", ".idx"],
    ),
    "IDX file missing": (idx_without_test_labels, ["got none for t10k-labels-idx1-ubyte;"]),
    "bad magic": (
        with_idx("x_train", flip(2)),
        [f"idx: {TRAIN_IMAGES} must begin with the IDX magic 00000803, got 0000f703"],
    ),
    "labels for images": (
        with_idx("x_train", lambda b: idx_bytes(tiny()["y_train"])),
        [TRAIN_IMAGES, "magic 00000803, got 00000801"],
    ),
    "empty IDX": (with_idx("y_test", lambda b: b""), ["magic 00000801, got an empty file"]),
    "IDX header cut": (with_idx("x_test", lambda b: b[:9]), ["the file ends in its header"]),
    "IDX truncated": (
        with_idx("x_train", lambda b: b[:-1]),
        [f"{TRAIN_IMAGES} is not readable", "promises 23520 bytes of data, it holds 23519"],
    ),
    "IDX surplus": (
        with_idx("x_train", lambda b: b + b"\0"),
        ["23520 bytes of data, it holds more"],
    ),
    "IDX of other size": (
        with_idx("x_train", lambda b: idx_bytes(np.zeros((4, 32, 32), np.uint8))),
        [f"x_train {IMAGES}, got (4, 32, 32) uint8"],
    ),
    "IDX without rows": (
        with_idx("x_train", lambda b: idx_bytes(np.zeros((0, 28, 28), np.uint8))),
        ["x_train must have 1 to 1000000 rows, got 0"],
    ),
    "IDX endless claim": (
        with_idx("x_train", lambda b: b[:4] + b"\xff\xff\xff\xff" + b[8:]),
        ["x_train must have 1 to 1000000 rows, got 4294967295"],
    ),
    "IDX huge claim": (
        with_idx("x_train", lambda b: b[:4] + struct.pack(">I", 1_000_000) + b[8:], zipped=False),
        ["promises 784000000 bytes of data, it holds 23520"],
    ),
    "IDX label 10": (
        with_idx("y_train", lambda b: b[:-1] + b"\n"),
        ["y_train must hold labels 0 to 9, got 10 (1 rows outside)"],
    ),
    "gz truncated": (
        with_idx("x_train", lambda b: b[: len(b) // 2], zipped=True),
        [f"{TRAIN_IMAGES}.gz is not readable", "ended before the end-of-stream"],
    ),
    "gz bad CRC": (with_idx("x_train", flip(-5), zipped=True), ["CRC check failed"]),
    "gz broken": (
        with_idx("x_train", lambda b: b[:10] + b"\xff" + b[11:], zipped=True),
        [f"{TRAIN_IMAGES}.gz is not readable (Error -3", "invalid block type"],
    ),
    "gz is plain": (with_idx("x_train", gzip.decompress, zipped=True), ["Not a gzipped file"]),
    "plain is gz": (with_idx("x_train", gzip.compress), ["magic 00000803, got 1f8b0800"]),
}


class TestBrokenFiles:
    @pytest.mark.parametrize(("build", "said"), BROKEN.values(), ids=BROKEN)
    def test_one_line_says_what_is_wrong(self, tmp_path, build, said):
        message = refusal(configure(build(tmp_path)))
        assert message.startswith("data.path=")
        for words in said:
            assert words in message

    def test_objects_are_never_unpickled(self, tmp_path):
        trap = tmp_path / "sprung"
        images = np.array([Trap(trap)], dtype=object)
        path = save_npz(tmp_path, tiny() | {"x_train": images})
        with np.load(path, allow_pickle=True) as careless:
            _ = careless["x_train"]
        assert trap.exists()  # the payload works on whoever unpickles it
        trap.unlink()

        assert "pickles are never loaded" in refusal(configure(path))
        path.write_bytes(images.dumps())  # a bare pickle, which numpy.load would take as well
        assert NOT_NPZ in refusal(configure(path))
        assert not trap.exists()

    @pytest.mark.parametrize("form", ["npz", "gz"])
    def test_a_decompression_bomb_costs_no_memory(self, tmp_path, form):
        zeros = bytes(50_000_000)
        if form == "npz":
            members = {"x_train": claim("(1, 28, 28)", held=0) + zeros}
            path = save_members(tmp_path, members, method=zipfile.ZIP_DEFLATED)
        else:
            bomb = gzip.compress(idx_bytes(np.zeros((1, 28, 28), np.uint8)) + zeros, 1)
            path = with_idx("x_train", lambda _: bomb, zipped=True)(tmp_path)
        tracemalloc.start()
        try:
            message = refusal(configure(path))
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert "it holds more" in message
        assert peak_bytes < 5_000_000

    @pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
    def test_a_read_error_is_one_line(self, tmp_path):
        folder = idx_without_test_labels(tmp_path)
        # Opens like a file, and fails at the first read, as a bad disk does.
        (folder / IDX_NAMES["y_test"]).symlink_to("/proc/self/mem")
        assert "t10k-labels-idx1-ubyte is not readable (Input/output error)" in refusal(
            configure(folder)
        )

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    @pytest.mark.parametrize("form", ["npz", "folder"])
    def test_missing_permission_is_one_line(self, tmp_path, form):
        path = save_npz(tmp_path, tiny()) if form == "npz" else save_idx(tmp_path / "idx", tiny())
        path.chmod(0)
        try:
            assert "Permission denied" in refusal(configure(path))
        finally:
            path.chmod(stat.S_IRWXU)


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


# One process for all questions to the real Keras: its import takes seconds and reads KERAS_HOME.
FASHION_SCRIPT = """
import json, shutil, sys
from pathlib import Path
from mnist_bench.config.schema import DataConfig, DataName, Validation
from mnist_bench.errors import Refusal
from mnist_bench.train.data import load_dataset

config = DataConfig(name=DataName.fashion_mnist, path=None, divisor=255,
                    validation=Validation.none, train_limit=None)
answer = {"early": [name for name in ("keras", "tensorflow", "mlflow") if name in sys.modules]}
loaded = load_dataset(config)
answer |= {"name": loaded.name, "digest": loaded.digest}

def refused():
    try:
        load_dataset(config)
    except Refusal as error:
        return str(error)

cache = Path(sys.argv[1]) / "datasets" / "fashion-mnist"
images = cache / "train-images-idx3-ubyte.gz"
images.write_bytes(images.read_bytes()[:100])
answer["broken"] = refused()
shutil.rmtree(cache)
answer["offline"] = refused()
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    home = tmp_path_factory.mktemp("keras")
    save_idx(home / "datasets" / "fashion-mnist", tiny(), zipped=True)
    # A proxy that refuses every connection is as good as no network, and as fast as none.
    proxies = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:1")
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    completed = subprocess.run(
        [sys.executable, "-c", FASHION_SCRIPT, str(home)],
        env=environment | proxies | {"KERAS_HOME": str(home), "KERAS_BACKEND": "tensorflow"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout.splitlines()[-1])


class TestFashionMnistThroughKeras:
    def test_data_imports_nothing_heavy(self, answer):
        assert answer["early"] == []

    def test_the_cached_files_are_loaded(self, answer, tmp_path):
        assert answer["name"] == "fashion_mnist"
        assert answer["digest"] == load_dataset(configure(save_npz(tmp_path, tiny()))).digest

    @pytest.mark.parametrize(
        ("state", "reason"), [("broken", "end-of-stream marker"), ("offline", "URL fetch failure")]
    )
    def test_failure_is_one_line_that_offers_a_path(self, answer, state, reason):
        message = answer[state]
        assert message.isprintable()
        assert message.startswith("data.name=fashion_mnist could not be loaded by Keras (")
        assert reason in message
        assert "; give data.path" in message


@pytest.mark.parametrize("name", ["a\nb\x1b[31m\u2028", "a\udce9b", "a\0b"])
def test_a_path_that_cannot_be_printed_is_refused_in_a_line(name: str) -> None:
    with pytest.raises(Refusal, match="printable") as caught:
        configure(name)
    [problem] = caught.value.problems
    assert problem.isprintable()
