"""Pictures of digits from files, made into what MNIST's own images are like."""

import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mnist_bench.errors import Refusal
from mnist_bench.text import shown
from mnist_bench.train.readers import BROKEN

Grey = NDArray[np.float32]
"""(height, width) float32 in [0, 255], 0 is black."""

SIDE = 28
"""Pixels of a side of an image of MNIST."""

BOX = 20
"""Pixels of the longer side of the digit in it."""

MAX_PIXELS = 64_000_000
"""Largest picture that is read; photographs of most telephones are below it."""

MAX_IMAGES = 1_000
"""Most images in one `.npy` file."""

WORKING_SIDE = 560
"""A larger picture is first reduced to about this, which averages the noise of a camera."""

BORDER_SAMPLE = 1_000
"""About how many pixels of the border are looked at, of more."""

LEAST_CONTRAST = 16.0
"""Between ink and background, in grey levels; below it a picture is taken for blank."""

INK_SHARE = 0.2
"""Of the darkest ink: what is at least that strong belongs to the digit."""

NPY_MAGIC = b"\x93NUMPY"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as it was read.

    Attributes:
        name: Of the file, with a number where it holds several.
        grey: Its pixels.
        notes: What was assumed while it was read.
    """

    name: str
    grey: Grey
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Digit:
    """A picture made ready for a model.

    Attributes:
        name: Of the picture.
        pixels: (28, 28) float32 in [0, 255], light ink on black, as in MNIST.
        assumed: What was taken for granted about the picture, in words.
        done: What was done to it, in words.
    """

    name: str
    pixels: Grey
    assumed: tuple[str, ...]
    done: tuple[str, ...]


def read_pictures(path: Path) -> list[Picture]:
    """Returns the pictures in a PNG, JPEG or `.npy` file: one, or those of an array (n, h, w).

    Raises:
        Refusal: If it cannot be read, or is no such file.
    """
    name = shown(path.name)
    with _reading_picture(name):
        with path.open("rb") as file:
            start = file.read(len(NPY_MAGIC))
        if not start:
            raise Refusal(f"{name}: is empty")
        if start == NPY_MAGIC:
            return _read_array(path, name)
        grey, notes = _read_picture(path, name)
        return [Picture(name, grey, notes)]


def prepare(picture: Picture) -> Digit:
    """Returns a picture as an image of MNIST.

    An image of 28 x 28 pixels that already looks like MNIST's own is at most inverted. Any other
    is done as MNIST's were: cropped to the ink, fitted into 20 x 20 pixels with its proportions
    kept, and placed so that its centre of mass is the centre of 28 x 28.

    Raises:
        Refusal: If there is no ink on it.
    """
    grey = picture.grey
    background, noise = _background(grey)
    darker = np.clip(background - grey - noise, 0, None)
    lighter = np.clip(grey - background - noise, 0, None)
    # Whatever is far from the border's brightness is ink; a few pixels are not yet a digit.
    dark_on_light = bool(_strength(darker) > _strength(lighter))
    # In the shade paper and ink are darker by the same factor.
    ink = darker * (255 / np.maximum(background, 32)) if dark_on_light else lighter
    if ink.max() < LEAST_CONTRAST:
        raise Refusal(f"{picture.name}: is blank; a digit has to differ from the border")
    assumed = (*picture.notes, "dark on light" if dark_on_light else "light on dark")
    inverted = ("inverted",) if dark_on_light else ()
    pixels = 255 - grey if dark_on_light else grey
    if _is_like_mnist(pixels, ink):
        left = f"{'else ' if inverted else ''}left as it is, since it looks like MNIST's own"
        return Digit(picture.name, pixels, assumed, (*inverted, left))
    done = (*inverted, "cropped to the ink", f"fitted into {BOX} x {BOX}", "centred by mass")
    return Digit(picture.name, _placed(_fitted(_cropped(ink))), assumed, done)


def _read_picture(path: Path, name: str) -> tuple[Grey, tuple[str, ...]]:
    with Image.open(path, formats=("PNG", "JPEG")) as image:
        width, height = image.size
        _check_size(name, height, width)
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            pixels, light_ink = _on_plain_ground(upright.convert("RGBA"))
            ground = "black" if light_ink else "white"
            return _reduced(pixels), (f"transparent parts taken for {ground}",)
        if upright.mode.startswith("I"):  # 16 bits, which `convert` would clip
            return _reduced(np.asarray(upright, np.float32) / 257), ()
        return _reduced(np.asarray(upright.convert("L"), np.float32)), ()


def _on_plain_ground(image: Image.Image) -> tuple[Grey, bool]:
    """Returns the grey levels of a picture on white, or on black if its visible part is light."""
    grey = np.asarray(image.convert("RGB").convert("L"), np.float32)
    opacity = np.asarray(image.getchannel("A"), np.float32) / np.float32(255)
    visible = float(opacity.sum())
    # Of a picture without a single transparent pixel the ground does not show.
    light_ink = visible > 0 and float((grey * opacity).sum()) / visible > 127.5
    ground = np.float32(0 if light_ink else 255)
    on_ground: Grey = grey * opacity + ground * (np.float32(1) - opacity)
    return on_ground, light_ink


def _read_array(path: Path, name: str) -> list[Picture]:
    # Mapped, so that a header that promises terabytes costs nothing; objects would be a pickle.
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim not in (2, 3) or array.dtype.kind not in "buif":
        raise Refusal(
            f"{name}: must hold numbers of shape (height, width) or (n, height, width), got "
            f"{array.dtype} {array.shape}"
        )
    images = array[np.newaxis] if array.ndim == 2 else array
    if not 1 <= len(images) <= MAX_IMAGES:
        raise Refusal(f"{name}: must hold 1 to {MAX_IMAGES:,} images, got {len(images):,}")
    _check_size(name, *images.shape[1:])
    if images.size > MAX_PIXELS:
        raise Refusal(f"{name}: must hold at most {MAX_PIXELS:,} pixels, got {images.size:,}")
    pixels = np.asarray(images, np.float32)
    low, high = float(pixels.min()), float(pixels.max())
    if not (math.isfinite(low) and math.isfinite(high) and low >= 0 and high <= 255):
        raise Refusal(
            f"{name}: pixels must be from 0 to 255, or from 0 to 1, got {low:g} to {high:g}"
        )
    notes: tuple[str, ...] = ()
    if high <= 1:
        pixels, notes = pixels * 255, ("values from 0 to 1, so multiplied by 255",)
    names = [name] if array.ndim == 2 else [f"{name}[{index}]" for index in range(len(images))]
    return [Picture(each, _reduced(grey), notes) for each, grey in zip(names, pixels, strict=True)]


def _check_size(name: str, height: int, width: int) -> None:
    if min(height, width) < 8 or height * width > MAX_PIXELS:
        raise Refusal(
            f"{name}: must have at least 8 pixels a side and at most {MAX_PIXELS:,} in all, got "
            f"{width} x {height}"
        )


@contextmanager
def _reading_picture(name: str) -> Iterator[None]:
    """Turns whatever a damaged or hostile file raises into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it skips in a damaged header
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except Refusal:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refusal(f"{name}: must have at most {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise Refusal(f"{name}: is not a PNG, JPEG or .npy file") from error
    except (*BROKEN, struct.error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or shown(error, 200)
        raise Refusal(f"{name}: cannot be read: {reason}") from error


def _reduced(grey: NDArray[Any]) -> Grey:
    factor = max(1, max(grey.shape) // WORKING_SIDE)
    if factor == 1:
        return grey.astype(np.float32)
    return np.asarray(Image.fromarray(grey.astype(np.float32)).reduce(factor), np.float32)


def _background(grey: Grey) -> tuple[Grey, float]:
    """Returns the background under the whole picture, and its noise, going by the border.

    It is the surface of second degree through the border's pixels: paper is seldom lit evenly.
    Where ink reaches the border, its pixels lie far from it and are left out of the next fit.
    """
    height, width = grey.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    depth = max(1, min(height, width) // 25)
    at_border = np.ones(grey.shape, bool)
    at_border[depth:-depth, depth:-depth] = False
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    every = max(1, np.count_nonzero(at_border) // BORDER_SAMPLE)
    rows, levels = terms[at_border][::every], grey[at_border][::every]
    kept = np.abs(levels - np.median(levels)) <= 64
    noise = 0.0
    for _ in range(3):
        surface, *_ = np.linalg.lstsq(rows[kept], levels[kept], rcond=None)
        rest = np.abs(levels - rows @ surface)
        spread = 1.4826 * float(np.median(rest[kept]))
        noise = 4 * spread
        kept = rest <= max(noise, 1.0)
    return (terms @ surface).astype(np.float32), noise


def _strength(ink: Grey) -> float:
    """Returns how strong the strongest hundredth of the pixels is."""
    count = max(4, ink.size // 100)
    return float(np.partition(ink.ravel(), -count)[-count:].mean())


def _ink_box(ink: Grey) -> tuple[slice, slice]:
    strong = ink >= INK_SHARE * ink.max()
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _centre(ink: Grey) -> tuple[float, float]:
    """Returns the row and column of the centre of mass, in pixels from the upper left edge."""
    mass = float(ink.sum())
    height, width = ink.shape
    return (
        float(ink.sum(axis=1) @ (np.arange(height) + 0.5)) / mass,
        float(ink.sum(axis=0) @ (np.arange(width) + 0.5)) / mass,
    )


def _is_like_mnist(pixels: Grey, ink: Grey) -> bool:
    black_paper, full_ink = np.median(pixels) < 8, pixels.max() > 200
    if ink.shape != (SIDE, SIDE) or not (black_paper and full_ink):
        return False
    rows, columns = _ink_box(ink)
    longer = max(rows.stop - rows.start, columns.stop - columns.start)
    return longer <= BOX and all(0 <= at - SIDE / 2 <= 1 for at in _centre(ink))


def _cropped(ink: Grey) -> Grey:
    rows, columns = _ink_box(ink)
    return ink[rows, columns]


def _fitted(ink: Grey) -> Grey:
    """Returns ink as large as MNIST's digits are, as strong as theirs."""
    height, width = ink.shape
    scale = BOX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Grey = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BICUBIC))
    stretched: Grey = np.clip(small * (np.float32(255) / small.max()), 0, 255)
    return stretched


def _placed(ink: Grey) -> Grey:
    """Returns ink on black with its centre of mass in the pixel that MNIST has it in, (14, 14)."""
    row, column = (math.ceil(SIDE / 2 - at) for at in _centre(ink))
    height, width = ink.shape
    # A very lopsided digit would reach over the edge; it is moved no further than to it.
    row, column = min(max(row, 0), SIDE - height), min(max(column, 0), SIDE - width)
    pixels = np.zeros((SIDE, SIDE), np.float32)
    pixels[row : row + height, column : column + width] = ink
    return pixels
