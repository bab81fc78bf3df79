"""`load_image`: turns any image into an 8-bit sRGB `Picture`, or raises one clear error.

Orientation (EXIF) is applied, colour profiles (ICC) are converted to sRGB, transparency is drawn on white.
Nothing is cropped or resized: a model's own processor does that.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import urllib.parse
import warnings
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from isi_widget.errors import InputError
from isi_widget.stimulus.noting import changing, note, noting, warn
from isi_widget.stimulus.other_files import HEAD, named
from isi_widget.stimulus.picture import Picture

__all__ = ["ImageSource", "check_image", "load_cutout", "load_image", "noting"]

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | NDArray[Any] "
    "| Picture"
)

#: Images with more pixels or longer sides are refused before decoding. Long sides cost extra memory: Pillow
#: keeps a pointer per row.
MAX_PIXELS = 100_000_000
MAX_SIDE = 100_000
#: More bytes than any accepted image has; a file object is read up to this size.
MAX_BYTES = 10 * MAX_PIXELS
# Raster formats only: others that Pillow knows (EPS, for one) start external programs. JPEG includes MPO,
# PPM includes PGM.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "MPO", "JPEG2000", "AVIF", "ICO")
#: One or two slashes: `Path` joins the slashes of a URL.
_URL = re.compile(r"(?!file:)(https?:/|[a-z][a-z0-9+.-]+://)", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")


#: Where the transparency of a loaded image goes instead of being laid on white.
_alphas: ContextVar[list[Image.Image] | None] = ContextVar("alphas", default=None)


def load_image(source: ImageSource) -> Picture:
    """Load any image as a `Picture`; what is changed on the way is in its `changes`.

    Parameters
    ----------
    source : path (or ``file://`` URL); bytes of an image file, a file object (`io.BytesIO`, ``open(path,
        "rb")``), base64 text or a ``data:`` URL; Pillow image; Picture; or NumPy array, uint8 or float in [0,
        1], of shape [height, width] (grey) or [height, width, 1 | 3 | 4] (grey, RGB, RGBA).

    Raises
    ------
    InputError : missing, empty, truncated or zero-sized image; file that is not an image; more than 100
        megapixels or 100,000 pixels on a side; array of the wrong shape, type or range; URL (nothing is
        downloaded).

    Warns
    -----
    UserWarning : animation (the first frame is used); unreadable colour profile or orientation (ignored).
    """
    if isinstance(source, Picture):
        return source
    with changing() as changes:
        picture = _loaded(source)
    return picture.changed(changes) if changes else picture


def _loaded(source: Any) -> Picture:
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


def load_cutout(source: ImageSource) -> tuple[Picture, NDArray[np.bool_] | None]:
    """Load any image as `load_image` does; of a transparent one return also which pixels are opaque (alpha
    above one half): bool [height, width], else None. Their colours are not mixed with white.
    """
    alphas: list[Image.Image] = []
    token = _alphas.set(alphas)
    try:
        picture = load_image(source)
    finally:
        _alphas.reset(token)
    opaque = np.asarray(alphas[-1]) > 127 if alphas else None
    return picture, None if opaque is None or opaque.all() else opaque


def _from_text(source: str) -> Picture:
    """Load from a path, or from an image written as text."""
    if source[:5].lower() == "data:":
        return _from_bytes(_data_url(source), "the data URL")
    if _URL.match(source):
        raise InputError(
            f"{_short(source)} is a URL, and nothing is fetched from a network here. Save the image and give "
            "its path, or give its bytes, such as urllib.request.urlopen(url).read()."
        )
    if source[:5].lower() == "file:":
        from urllib.request import url2pathname  # slow to import

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
    except (OSError, ValueError, RuntimeError) as error:  # a null byte in the name, a missing home folder
        why = getattr(error, "strerror", None) or error
        raise InputError(f"The image file {_short(str(path))} cannot be read: {why}.") from error


def _from_file(file: IO[bytes]) -> Picture:
    """Read the rest of a file object; all of it if its position is at the end, as after writing."""
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
    """Decode base64 text (either alphabet, wrapped or not); None if it is not base64.

    check : True (default) also returns None unless the bytes begin like an image.
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
    """Return the text's `repr`, shortened for a message."""
    return repr(text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME // 2]}...{text[-40:]}")


_LONGEST_NAME = 300


def check_image(path: Path) -> None:
    """Read the header of an image file and refuse it as `load_image` would, except for damage after the
    header.

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
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we check our own limit
            return Image.open(file, formats=[known for known in _FORMATS if known in Image.OPEN])
    except UnidentifiedImageError:
        file.seek(0)
        if (known := named(file.read(HEAD))) is not None:
            raise InputError(
                f"An image is needed, but {name} is not a readable image; it is {known[0]}. {known[1]}."
            ) from None
        raise InputError(
            f"An image is needed, but {name} is not a readable image; use one of {', '.join(_FORMATS)}."
        ) from None
    except Image.DecompressionBombError:
        raise InputError(
            f"{name} has far more than {MAX_PIXELS // 10**6} megapixels; make it smaller first."
        ) from None
    except Exception as error:  # decoders raise nearly any exception on hostile files
        raise InputError(f"{name} is a damaged image: {error}.") from error


def _from_pil(image: Image.Image, name: str, *, own: bool = False) -> Picture:
    """Convert a Pillow image; `own` means that no one else holds it, so no copy is needed."""
    _check_size(image, name)
    deep = _bits(image)
    try:
        # Further pictures in an MPO (such as a phone's depth map) are not animation frames.
        if getattr(image, "is_animated", False) and image.format != "MPO":
            frames = getattr(image, "n_frames", 2)
            warn(name, f"an animation of {frames} frames; the first one is used", 4)
            if image.tell() != 0:
                image.seek(0)
        image.load()
    except Exception as error:  # as above: damaged files raise nearly any exception
        raise InputError(f"{name} is a damaged or truncated image: {error}.") from error
    if deep > 8:
        note(f"{deep} bits a channel were reduced to 8")
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
            note("turned upright, as its EXIF orientation says")
        if not own:
            return ImageOps.exif_transpose(image)
        ImageOps.exif_transpose(image, in_place=True)
        return image
    except Exception as error:  # keep the image despite a damaged EXIF block
        warn(name, f"its EXIF data cannot be read ({error}); orientation left as stored", 5)
        return image


_USUAL_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "F")


def _to_rgb(image: Image.Image, name: str, own: bool) -> Image.Image:
    """Convert to 8-bit sRGB on white; returns a new image unless `own`."""
    if own and image.mode == "RGB" and not {"icc_profile", "transparency"} & image.info.keys():
        return image
    stored, profile = image.mode, image.info.get("icc_profile")
    image = _to_eight_bits(image, name)
    grey = image.mode in ("L", "LA", "La")
    if image.mode in ("P", "PA", "La", "RGBa", "LA") or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB", "RGBA", "CMYK"):
        image = image.convert("RGB")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    color = image.convert("RGB") if alpha is not None else image
    if stored not in _USUAL_MODES and not stored.startswith("I"):
        note(f"{stored} colours were converted to RGB")
    color = _to_srgb(color, profile, grey, name) if profile else color.convert("RGB")
    if alpha is None or alpha.getextrema() == (255, 255):
        return color
    alphas = _alphas.get()
    if alphas is not None:
        alphas.append(alpha)
        return color
    note("its transparent parts were laid on white")
    white = Image.new("RGB", color.size, "white")
    white.paste(color, mask=alpha)
    return white


def _bits(image: Image.Image) -> int:
    """Return the bits per channel, before decoding: Pillow keeps only the upper byte of deep colours."""
    if image.mode == "F":
        return 32
    deep = image.mode.startswith("I") or any(";16" in str(tile[3]) for tile in getattr(image, "tile", []))
    return 16 if deep else 8


def _to_eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Convert deep grey and bilevel images to 8-bit grey, full scale to full scale."""
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

    A profile of the wrong colour space, as some editors leave behind, is ignored: no colour image turns grey.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if grey and space in ("GRAY", "RGB"):
            image = image.convert("L" if space == "GRAY" else "RGB")
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        warn(name, f"its colour profile does not fit or is damaged ({error}); taken as sRGB", 6)
        return image.convert("RGB")
    assert converted is not None
    if not _is_srgb(source):
        note("its colour profile was converted to sRGB")
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
    """Convert floats in [0, 1] to bytes; anything else is refused rather than guessed."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 1:
        raise InputError(
            f"{name} must have floats between 0 and 1, got {low:g} to {high:g}; divide 0-255 values by 255."
        )
    return np.rint(values.astype(np.float64) * 255).astype(np.uint8)
