"""`load_image`: any image that a person may hand over, as an 8-bit sRGB `Picture`, or one clear error.

Orientation (EXIF) is applied, colour profiles (ICC) are converted to sRGB, transparency is laid on white.
Nothing is ever cropped or resized. Not for the resizing that a model's own processor does.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import urllib.parse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from isi_widget.errors import InputError
from isi_widget.stimulus.picture import Picture

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | NDArray[Any] "
    "| Picture"
)

#: Images of more pixels, or longer sides, are refused before they are decoded. Long sides take memory beside
#: the pixels: Pillow has a pointer for each row.
MAX_PIXELS = 100_000_000
MAX_SIDE = 100_000
#: More bytes than any such image has; of a file object that cannot seek no more are read.
MAX_BYTES = 10 * MAX_PIXELS
# Raster formats only: others that Pillow knows (EPS, for one) start external programs. JPEG includes MPO,
# PPM includes PGM.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "MPO", "JPEG2000", "AVIF", "ICO")
#: A path joins the slashes of a URL that is made one.
_URL = re.compile(r"(?!file:)(https?:/|[a-z][a-z0-9+.-]+://)", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")


_noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)


@contextmanager
def noting() -> Iterator[list[str]]:
    """Collect what is done to images that are loaded inside, beyond reading their pixels, instead of warning:
    one clause each, such as "turned upright as its EXIF orientation says".
    """
    notes: list[str] = []
    token = _noted.set(notes)
    try:
        yield notes
    finally:
        _noted.reset(token)


def _note(clause: str) -> None:
    """A change that is right and usual: said only to who collects notes."""
    notes = _noted.get()
    if notes is not None and clause not in notes:
        notes.append(clause)


def _warn(name: str, clause: str, level: int) -> None:
    """A loss that one may not expect: a warning, or a note."""
    if _noted.get() is not None:
        _note(clause)
    else:
        warnings.warn(f"{name}: {clause}.", UserWarning, stacklevel=level + 1)


def load_image(source: ImageSource) -> Picture:
    """Return any image as a `Picture`.

    Parameters
    ----------
    source : a path (or ``file://`` URL), the bytes of an image file or a file object that gives them
        (`io.BytesIO`, ``open(path, "rb")``), the same in base64 or as a ``data:`` URL, a Pillow image, a
        Picture, or a NumPy array, uint8 or float on [0, 1], of shape [height, width] (grey) or [height,
        width, 1 | 3 | 4] (grey, RGB, RGBA).

    Raises
    ------
    InputError : missing, empty, truncated or zero-sized images, files that are no image, more than 100
        megapixels or 100,000 pixels on a side, arrays of other shapes, types or ranges, and URLs: nothing is
        fetched from a network.

    Warns
    -----
    UserWarning : of an animation the first frame is taken; an unreadable colour profile or orientation is
        left out.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, Image.Image):
        return _from_pil(source, "the Pillow image")
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), "the image data")
    if isinstance(source, (str, os.PathLike)):
        return _from_text(os.fsdecode(source))
    if callable(getattr(source, "read", None)):
        return _from_file(source)
    raise InputError(
        "An image must be a path, bytes, a file object, a Pillow image, a NumPy array or a Picture; "
        f"got {type(source).__name__}."
    )


def _from_text(source: str) -> Picture:
    """Return a path, or an image as text."""
    if source[:5].lower() == "data:":
        return _from_bytes(_data_url(source), "the data URL")
    if _URL.match(source):
        raise InputError(
            f"{_short(source)} is a URL, and nothing is fetched from a network here. Save the image and give "
            "its path, or give its bytes, such as urllib.request.urlopen(url).read()."
        )
    if source[:5].lower() == "file:":
        from urllib.request import url2pathname  # here: it takes long to import

        return _from_path(url2pathname(urllib.parse.urlsplit(source).path))
    data = _base64(source)
    if data is not None and not _is_file(source):
        return _from_bytes(data, "the base64 text")
    return _from_path(source)


def _from_path(source: str) -> Picture:
    path = Path(source)
    try:
        path = path.expanduser()
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"An image is needed, but the file {_short(str(path))} is empty (0 bytes).")
            file.seek(0)
            with _opened(file, f"the file {_short(str(path))}") as image:
                return _from_pil(image, f"the file {_short(str(path))}", own=True).read_from(source)
    except FileNotFoundError:
        raise InputError(
            f"There is no image file {_short(str(path))} (looked from {str(Path.cwd())!r})."
        ) from None
    except IsADirectoryError:
        raise InputError(f"{_short(str(path))} is a folder, not an image file.") from None
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # a null in the name, a home that there is not
        why = getattr(error, "strerror", None) or error
        raise InputError(f"The image file {_short(str(path))} cannot be read: {why}.") from error


def _from_file(file: IO[bytes]) -> Picture:
    """Return the rest of a file object; all of it if it stands at its end, as after writing."""
    try:
        data: Any = file.read(MAX_BYTES + 1)
        if not data and file.seekable():
            file.seek(0)
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"The {type(file).__name__} given as an image cannot be read: {error}.") from error
    if isinstance(data, str):
        raise InputError('An image file must be opened as bytes, not as text: open(path, "rb").')
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InputError(
            f"The {type(file).__name__} given as an image gives no bytes: {type(data).__name__}."
        )
    if len(data) > MAX_BYTES:
        raise InputError(f"An image file may have at most {MAX_BYTES // 10**6} MB; this one has more.")
    return _from_bytes(bytes(data), f"the {type(file).__name__}")


def _data_url(url: str) -> bytes:
    """Return the bytes of a ``data:`` URL (RFC 2397)."""
    head, comma, body = url.partition(",")
    if not comma:
        raise InputError(f"{_short(url)} is no data URL: it has no comma before its data.")
    if not head.lower().endswith(";base64"):
        return urllib.parse.unquote_to_bytes(body)
    data = _base64(urllib.parse.unquote(body), check=False)
    if data is None:
        raise InputError(f"The data URL {_short(url)} holds no valid base64.")
    return data


def _base64(text: str, *, check: bool = True) -> bytes | None:
    """Return the bytes that base64 text (of either alphabet, wrapped or not) stands for; None if it is none.

    check : also None if they do not begin as an image does.
    """
    joined = "".join(text.split()).translate(_STANDARD)
    if check and not _BASE64.fullmatch(joined):
        return None
    try:
        data = base64.b64decode(joined + "=" * (-len(joined) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    if check:
        try:
            _opened(io.BytesIO(data), "").close()
        except InputError:
            return None
    return data


_STANDARD = str.maketrans("-_", "+/")


def _is_file(source: str) -> bool:
    try:
        return Path(source).is_file()
    except (OSError, ValueError):
        return False


def _short(text: str) -> str:
    """As Python writes it, short enough for a message."""
    return repr(text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME // 2]}...{text[-40:]}")


_LONGEST_NAME = 300


def check_image(path: Path) -> None:
    """Read the header of an image file and refuse what `load_image` would: all but damage further on.

    Raises
    ------
    InputError : as `load_image`.
    """
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"An image is needed, but the file {str(path)!r} is empty (0 bytes).")
            file.seek(0)
            with _opened(file, f"the file {str(path)!r}") as image:
                _check_size(image, f"the file {str(path)!r}")
    except OSError as error:
        raise InputError(f"The image file {str(path)!r} cannot be read: {error}.") from error


def _from_bytes(data: bytes, name: str) -> Picture:
    if not data:
        raise InputError(f"An image is needed, but {name} is empty (0 bytes).")
    text = data.decode("ascii") if data[:_SIGNATURE].isascii() and data.isascii() else ""
    if text[:5].lower() == "data:":
        return _from_text(text)
    data = _base64(text) or data
    with _opened(io.BytesIO(data), name) as image:
        return _from_pil(image, name, own=True)


_SIGNATURE = 16


def _opened(file: IO[bytes], name: str) -> Image.Image:
    """Read the header only."""
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is our own
            return Image.open(file, formats=[known for known in _FORMATS if known in Image.OPEN])
    except UnidentifiedImageError:
        raise InputError(
            f"An image is needed, but {name} is none that can be read; use one of {', '.join(_FORMATS)}."
        ) from None
    except Image.DecompressionBombError:
        raise InputError(
            f"{name} has far more than {MAX_PIXELS // 10**6} megapixels; make it smaller first."
        ) from None
    except Exception as error:  # decoders meet hostile files here and raise nearly anything
        raise InputError(f"{name} is a damaged image: {error}.") from error


def _from_pil(image: Image.Image, name: str, *, own: bool = False) -> Picture:
    """Return an image that nobody else has (own) need not be copied."""
    _check_size(image, name)
    deep = _bits(image)
    try:
        # The other pictures of an MPO (a telephone's depth map, for one) are no later frames.
        if getattr(image, "is_animated", False) and image.format != "MPO":
            frames = getattr(image, "n_frames", 2)
            _warn(name, f"an animation of {frames} frames; the first one is used", 4)
            if image.tell() != 0:
                image.seek(0)
        image.load()
    except Exception as error:  # as above: a damaged file may raise nearly anything
        raise InputError(f"{name} is a damaged or truncated image: {error}.") from error
    if deep > 8:
        _note(f"{deep} bits a channel were reduced to 8")
    return Picture.of(_to_rgb(_upright(image, name, own), name, own))


def _check_size(image: Image.Image, name: str) -> None:
    _check_sides(*image.size, name)


def _check_sides(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise InputError(f"An image needs at least one pixel, but {name} is {width} x {height}.")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"An image may have at most {MAX_PIXELS // 10**6} megapixels, but {name} is {width} x {height} "
            f"({width * height / 1e6:.0f} megapixels); make it smaller first."
        )
    if max(width, height) > MAX_SIDE:
        raise InputError(
            f"The sides of an image may have at most {MAX_SIDE} pixels, but {name} is {width} x {height}; "
            "cut it into pieces, or make it smaller."
        )


def _upright(image: Image.Image, name: str, own: bool) -> Image.Image:
    """Apply the EXIF orientation."""
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9):
            _note("turned upright, as its EXIF orientation says")
        if not own:
            return ImageOps.exif_transpose(image)
        ImageOps.exif_transpose(image, in_place=True)
        return image
    except Exception as error:  # a damaged EXIF block need not cost the image
        _warn(name, f"its EXIF data cannot be read ({error}); orientation left as stored", 5)
        return image


def _to_rgb(image: Image.Image, name: str, own: bool) -> Image.Image:
    """Return 8-bit sRGB on white; never the very image that was given, unless it is one's own."""
    if own and image.mode == "RGB" and not {"icc_profile", "transparency"} & image.info.keys():
        return image
    profile = image.info.get("icc_profile")
    image = _to_eight_bits(image, name)
    grey = image.mode in ("L", "LA", "La")
    if image.mode in ("P", "PA", "La", "RGBa", "LA") or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB", "RGBA", "CMYK"):
        image = image.convert("RGB")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    color = image.convert("RGB") if alpha is not None else image
    if color.mode == "CMYK":
        _note("CMYK colours were converted to RGB")
    color = _to_srgb(color, profile, grey, name) if profile else color.convert("RGB")
    if alpha is None or alpha.getextrema() == (255, 255):
        return color
    _note("its transparent parts were laid on white")
    white = Image.new("RGB", color.size, "white")
    white.paste(color, mask=alpha)
    return white


def _bits(image: Image.Image) -> int:
    """Return bits of a channel, before the image is decoded: Pillow reads deep colours as their
    upper byte.
    """
    if image.mode == "F":
        return 32
    deep = image.mode.startswith("I") or any(";16" in str(tile[3]) for tile in getattr(image, "tile", []))
    return 16 if deep else 8


def _to_eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Return deep grey and bilevel images as 8-bit grey, full scale to full scale."""
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(
                f"{name} has grey values from {values.min()} to {values.max()}; expected 16 bits, 0 to 65535."
            )
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        return Image.fromarray(_unit_to_bytes(np.asarray(image), name))
    return image


def _to_srgb(image: Image.Image, profile: bytes, grey: bool, name: str) -> Image.Image:
    """Convert colours from the embedded profile to sRGB (perceptual intent, Pillow's default).

    A profile for another kind of image, as editors leave behind, is not used: no colour image turns grey.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if grey and space in ("GRAY", "RGB"):
            image = image.convert("L" if space == "GRAY" else "RGB")
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        _warn(name, f"its colour profile does not fit or is damaged ({error}); taken as sRGB", 6)
        return image.convert("RGB")
    assert converted is not None
    if not _is_srgb(source):
        _note("its colour profile was converted to sRGB")
    return converted


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    return "srgb" in (ImageCms.getProfileDescription(profile) or "").lower()


def _from_array(array: NDArray[Any]) -> Picture:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise InputError(
            "An image array must be [height, width] or [height, width, 1 | 3 | 4], "
            f"got shape {list(array.shape)}."
        )
    if array.size == 0:
        raise InputError(f"An image needs at least one pixel, got an array of shape {list(array.shape)}.")
    _check_sides(array.shape[1], array.shape[0], "the image array")
    if np.issubdtype(array.dtype, np.floating):
        array = _unit_to_bytes(array, "the image array")
    elif array.dtype != np.uint8:
        raise InputError(f"An image array must be uint8 or float on [0, 1], got {array.dtype}.")
    return Picture.of(_to_rgb(Image.fromarray(np.ascontiguousarray(array)), "the image array", own=False))


def _unit_to_bytes(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return floats on [0, 1] as bytes; anything else is refused rather than guessed."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 1:
        raise InputError(
            f"{name} must have floats between 0 and 1, got {low:g} to {high:g}; divide 0-255 values by 255."
        )
    return np.rint(values.astype(np.float64) * 255).astype(np.uint8)
