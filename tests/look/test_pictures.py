"""Pictures of every kind become images of MNIST, or are refused in one line."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnist_bench.config.compose import resource_dir
from mnist_bench.look import pictures


@pytest.fixture(scope="module")
def mnist() -> NDArray[np.uint8]:
    """Test images 0 to 499 of MNIST."""
    with np.load(resource_dir("resources") / "mnist.npz", allow_pickle=False) as arrays:
        return arrays["x_test"][:500]


def picture(grey: NDArray[Any]) -> pictures.Picture:
    return pictures.Picture("x.png", grey.astype(np.float32), ())


def seven(ink: int = 20, paper: int = 255) -> Image.Image:
    """Returns a seven of 300 x 400 pixels."""
    image = Image.new("L", (300, 400), paper)
    ImageDraw.Draw(image).line([(60, 80), (230, 90), (120, 330)], ink, 26, "curve")
    return image


def prepared(path: Path) -> pictures.Digit:
    [read] = pictures.read_pictures(path)
    return pictures.prepare(read)


@pytest.mark.parametrize("inverted", [False, True])
def test_images_of_mnist_are_left_as_they_are(mnist, inverted):
    for image in mnist:
        digit = pictures.prepare(picture(255 - image if inverted else image))
        np.testing.assert_array_equal(digit.pixels, image)
        assert digit.assumed == (("dark on light",) if inverted else ("light on dark",))
        assert "left as it is" in digit.done[-1]


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("sampling", [Image.Resampling.NEAREST, Image.Resampling.BICUBIC])
def test_enlarged_images_of_mnist_come_back(mnist, sampling, inverted):
    differences = []
    for image in mnist[:20]:
        large = np.asarray(Image.fromarray(image).resize((280, 280), sampling))
        digit = pictures.prepare(picture(255 - large if inverted else large))
        differences.append(np.abs(digit.pixels - image).mean())
        assert digit.pixels.shape == (28, 28)
        assert digit.pixels.max() == pytest.approx(255, abs=1)
    # Moved by a pixel, images of MNIST differ by about 20 grey levels.
    assert np.median(differences) < 8


def test_a_digit_is_fitted_and_centred_like_mnists(tmp_path):
    seven().save(tmp_path / "seven.png")
    pixels = prepared(tmp_path / "seven.png").pixels
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    assert np.ptp(rows) + 1 == 20
    # 196 x 276 pixels of ink
    assert np.ptp(columns) + 1 == pytest.approx(20 * 196 / 276, abs=1)
    for axis in (0, 1):
        mass = pixels.sum(axis=1 - axis)
        assert 14 <= (mass @ (np.arange(28) + 0.5)) / mass.sum() < 15


def test_a_small_image_that_is_not_like_mnist_is_made_so():
    off_centre = np.zeros((28, 28), np.float32)
    off_centre[1:13, 2:5] = 255
    digit = pictures.prepare(picture(off_centre))
    assert "left as it is" not in digit.done[-1]
    assert np.ptp(np.flatnonzero(digit.pixels.any(axis=1))) + 1 == 20


@pytest.mark.parametrize(("paper", "ink"), [(90, 255), (160, 20), (0, 120)])
def test_a_small_image_on_grey_paper_or_with_faint_ink_is_not_left_as_it_is(mnist, paper, ink):
    share = mnist[0] / 255
    digit = pictures.prepare(picture(paper + (ink - paper) * share))
    assert "left as it is" not in digit.done[-1]
    assert (digit.pixels.min(), digit.pixels.max()) == (0, pytest.approx(255, abs=1))


def test_light_ink_on_dark_paper_is_not_inverted_by_a_dark_smudge():
    chalk = np.full((280, 280), 40, np.float32)
    chalk[100:180, 130:150] = 110
    chalk[20:60, 20:60] = 0  # the smudge differs less, though it is black
    assert pictures.prepare(picture(chalk)).assumed == ("light on dark",)


@pytest.mark.parametrize(
    ("name", "convert"),
    [
        ("grey.jpg", lambda image: image),
        ("colour.png", lambda image: image.convert("RGB")),
        ("bits.png", lambda image: image.convert("1")),
        ("palette.png", lambda image: image.convert("P")),
        ("deep.png", lambda image: Image.fromarray(np.asarray(image, np.uint16) * 257)),
        ("opaque.png", lambda image: image.convert("RGBA")),
    ],
)
def test_every_kind_of_picture_gives_the_same_digit(
    tmp_path: Path, name: str, convert: Callable[[Image.Image], Image.Image]
) -> None:
    seven().save(tmp_path / "plain.png")
    convert(seven()).save(tmp_path / name)
    expected = prepared(tmp_path / "plain.png")
    digit = prepared(tmp_path / name)
    assert np.abs(digit.pixels - expected.pixels).mean() < 3
    assert digit.assumed[-1] == "dark on light"


@pytest.mark.parametrize(
    ("ink", "ground", "polarity"), [(0, "white", "dark on light"), (255, "black", "light on dark")]
)
def test_a_transparent_ground_is_opposite_to_the_ink(tmp_path, ink, ground, polarity):
    mask = seven(ink=255, paper=0)
    image = Image.new("RGBA", mask.size, (ink, ink, ink, 0))
    image.putalpha(mask)
    image.save(tmp_path / "x.png")
    digit = prepared(tmp_path / "x.png")
    assert digit.assumed == (f"transparent parts taken for {ground}", polarity)
    seven().save(tmp_path / "plain.png")
    assert np.abs(digit.pixels - prepared(tmp_path / "plain.png").pixels).mean() < 3


def test_a_telephones_turned_photograph_is_read_upright(tmp_path):
    seven().save(tmp_path / "upright.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 270 degrees
    seven().transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif)
    upright, turned = (prepared(tmp_path / f"{name}.jpg").pixels for name in ("upright", "turned"))
    assert np.abs(upright - turned).mean() < 2


def test_uneven_light_and_noise_are_not_ink(tmp_path):
    seven().save(tmp_path / "plain.png")
    ink = 1 - np.asarray(seven().resize((600, 800)), np.float32) / 255
    ink = np.pad(ink, ((200, 300), (700, 100)))
    y, x = np.mgrid[-1 : 1 : ink.shape[0] * 1j, -1 : 1 : ink.shape[1] * 1j]
    light = 150 + 50 * x + 25 * y - 20 * (x**2 + y**2)
    noise = np.random.default_rng(0).normal(0, 8, ink.shape)
    photograph = np.clip(light * (1 - 0.6 * ink) + noise, 0, 255).astype(np.uint8)
    assert light.min() < 60  # darker than the ink elsewhere: no threshold would do
    Image.fromarray(photograph).save(tmp_path / "photograph.jpg")
    digit = prepared(tmp_path / "photograph.jpg")
    assert digit.assumed == ("dark on light",)
    assert np.abs(digit.pixels - prepared(tmp_path / "plain.png").pixels).mean() < 8


def test_arrays_hold_one_image_or_many(tmp_path):
    grey = np.asarray(seven())
    np.save(tmp_path / "one.npy", grey)
    np.save(tmp_path / "many.npy", np.stack([grey, 255 - grey]))
    np.save(tmp_path / "shares.npy", grey / 255)
    [one] = pictures.read_pictures(tmp_path / "one.npy")
    dark, light = pictures.read_pictures(tmp_path / "many.npy")
    [shares] = pictures.read_pictures(tmp_path / "shares.npy")
    np.testing.assert_array_equal(one.grey, grey)
    np.testing.assert_array_equal(dark.grey, grey)
    np.testing.assert_allclose(shares.grey, grey, atol=1e-3)
    assert shares.notes == ("values from 0 to 1, so multiplied by 255",)
    assert (one.name, dark.name, light.name) == ("one.npy", "many.npy[0]", "many.npy[1]")
    np.testing.assert_array_equal(pictures.prepare(dark).pixels, pictures.prepare(light).pixels)


def bytes_of(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    content = bytearray(bytes_of(seven(), "PNG"))
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"hello", "is not a PNG, JPEG or .npy file"),
    "gif": (bytes_of(seven(), "GIF"), "is not a PNG, JPEG or .npy file"),
    "cut png": (bytes_of(seven(), "PNG")[:600], "cannot be read"),
    "cut jpg": (bytes_of(seven(), "JPEG")[:1500], "cannot be read"),
    "blank": (bytes_of(Image.new("L", (99, 99), 200), "PNG"), "is blank"),
    "tiny": (bytes_of(Image.new("L", (3, 30)), "PNG"), "at least 8 pixels a side"),
    "large": (png_that_claims(9_000, 9_000), "at most 64,000,000"),
    "larger": (png_that_claims(10_000, 10_000), "at most 64,000,000"),
    "bomb": (png_that_claims(20_000, 20_000), "at most 64,000,000"),
    "pickle": (npy(np.array([{}], object)), "cannot be read"),
    "4 dimensions": (npy(np.zeros((1, 28, 28, 3))), "got float64 (1, 28, 28, 3)"),
    "complex": (npy(np.zeros((28, 28), complex)), "got complex128 (28, 28)"),
    "none": (npy(np.zeros((0, 28, 28))), "must hold 1 to 1,000 images, got 0"),
    "many": (npy(np.zeros((1_001, 8, 8))), "must hold 1 to 1,000 images, got 1,001"),
    "nan": (npy(np.full((28, 28), np.nan)), "must be from 0 to 255, or from 0 to 1, got nan"),
    "negative": (npy(np.arange(784.0).reshape(28, 28) - 1), "got -1 to 782"),
    "cut npy": (npy(np.zeros((28, 28)))[:500], "cannot be read"),
    "cut header": (npy(np.zeros((28, 28)))[:20], "cannot be read"),
    "broken header": (npy(np.zeros((28, 28))).replace(b"28), ", b"28,  "), "cannot be read"),
    "lying header": (npy(np.zeros((28, 28))).replace(b"(28, 28)", b"(9999,9)"), "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(tmp_path, name):
    content, reason = BAD[name]
    path = tmp_path / "x\n.png"
    path.write_bytes(content)
    with pytest.raises(pictures.Refusal) as caught:
        prepared(path)
    assert reason in str(caught.value)
    assert str(caught.value).startswith("x\\n.png: ")
    assert str(caught.value).isprintable()


def test_what_is_no_file_is_refused(tmp_path):
    for path, reason in ((tmp_path / "no.png", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(pictures.Refusal, match=reason):
            pictures.read_pictures(path)


def test_damaged_files_are_read_or_refused(tmp_path):
    random = np.random.default_rng(0)
    path = tmp_path / "x"
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph = io.BytesIO()
    seven().save(photograph, "JPEG", exif=exif)
    whole = [bytes_of(seven(), "PNG"), photograph.getvalue(), npy(np.asarray(seven()))]
    refused = 0
    for content in whole * 25:
        damaged = np.frombuffer(content, np.uint8).copy()
        # Where the headers are, most of them.
        damaged[random.integers(8, 160, 3)] = random.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        try:
            prepared(path)
        except pictures.Refusal:
            refused += 1
    assert refused > 8
