"""Images in: every kind that a person may hand over becomes 8-bit sRGB, or is refused in one clear
sentence."""

from __future__ import annotations

import base64
import io
import pickle
import re
import struct
import textwrap
import urllib.parse
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from isi_widget.errors import InputError
from isi_widget.stimulus import Picture, load_image

# Corners of different colours on a flat ground: every orientation gives another picture.
F = np.full((4, 6, 3), 90, np.uint8)
F[0, 0], F[0, -1], F[-1, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def swapped_profile() -> bytes:
    """sRGB with the primaries of red and blue exchanged: converting to sRGB exchanges the two channels."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    for entry in range(132, 132 + 12 * count, 12):
        name = bytes(data[entry : entry + 4])
        data[entry : entry + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(name, name)
    return bytes(data)


def test_all_kinds_of_source_give_the_same_picture(tmp_path: Path) -> None:
    image = Image.fromarray(F)
    path = tmp_path / "f.png"
    path.write_bytes(encoded(image))
    sources = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), image, F, F / 255.0]
    pictures = [load_image(source) for source in sources]
    assert set(pictures) == {pictures[0]}
    assert (pictures[0].array() == F).all() and pictures[0].size == (6, 4)
    assert load_image(pictures[0]) is pictures[0]


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, np.fliplr),
        (3, lambda a: np.rot90(a, 2)),
        (4, np.flipud),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_exif_orientation(orientation: int, upright: Callable[[np.ndarray], np.ndarray]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind, options in [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]:
        got = load_image(encoded(Image.fromarray(F), kind, exif=exif, **options)).array()
        assert (got == upright(F)).all(), kind


def test_damaged_exif_costs_the_orientation_only() -> None:
    data = encoded(Image.fromarray(F), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f", quality=95)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert load_image(data).size == (6, 4)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_colour_profile_is_converted_to_srgb(mode: str) -> None:
    image = Image.fromarray(F).convert(mode, palette=Image.Palette.ADAPTIVE)
    got = load_image(encoded(image, icc_profile=swapped_profile())).array().astype(int)
    assert np.abs(got - F[:, :, ::-1]).max() <= 2
    assert load_image(Image.fromarray(F)).array()[0, 0].tolist() == [255, 0, 0]


def test_a_profile_is_applied_once_only() -> None:
    once = load_image(encoded(Image.fromarray(F), icc_profile=swapped_profile()))
    assert "icc_profile" not in once.pil().info
    assert load_image(once.pil()) == once == load_image(once.png())


def test_a_broken_profile_is_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="colour profile does not fit or is damaged"):
        assert (load_image(encoded(Image.fromarray(F), icc_profile=b"nonsense")).array() == F).all()


def grey_profile(gamma: float) -> bytes:
    """A profile for grey images with a pure power curve, written by hand."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)
    words = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(11 + 67 + 1)
    bodies = {b"desc": words, b"wtpt": white, b"kTRC": curve}
    table, data, start = b"", b"", 128 + 4 + 12 * len(bodies)
    for name, body in bodies.items():
        table += name + struct.pack(">II", start + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    body = struct.pack(">I", len(bodies)) + table + data
    head = struct.pack(
        ">I4sI4s4s4s", 128 + len(body), bytes(4), 0x02400000, b"mntr", b"GRAY", b"XYZ "
    ) + bytes(12)
    return (
        (head + b"acsp").ljust(68, b"\0") + struct.pack(">iii", 63190, 65536, 54061).ljust(60, b"\0") + body
    )


def test_a_grey_profile_is_converted_to_srgb() -> None:
    ramp = Image.fromarray(np.arange(15, 256, 5, dtype=np.uint8)[None])  # below, colour engines interpolate
    expected = (1.055 * (np.asarray(ramp)[0] / 255) ** (1 / 2.4) - 0.055) * 255
    for image in (ramp, ramp.convert("LA")):
        got = load_image(encoded(image, icc_profile=grey_profile(1.0))).array()
        assert np.abs(got[0, :, 1] - expected).max() <= 1.5


def test_a_profile_for_grey_does_not_make_a_colour_image_grey() -> None:
    """A photograph of the ISI set is such a file: a grey picture on which an editor drew in colour."""
    with pytest.warns(UserWarning, match="does not fit or is damaged"):
        got = load_image(encoded(Image.fromarray(F), icc_profile=grey_profile(2.2)))
    assert (got.array() == F).all()


def test_a_grey_image_with_a_colour_profile() -> None:
    grey = Image.fromarray(F).convert("L")
    got = load_image(encoded(grey, icc_profile=swapped_profile())).array()
    assert np.abs(got[:, :, 1].astype(int) - np.asarray(grey)).max() <= 1


def test_transparency_is_laid_on_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = [0, 128, 255]
    assert load_image(rgba).array()[0, :, 0].tolist() == [255, 127, 0]
    assert load_image(encoded(Image.fromarray(rgba))) == load_image(rgba)
    la = Image.fromarray(rgba).convert("LA")
    assert load_image(encoded(la)) == load_image(rgba)


def test_a_transparent_palette_or_key_colour_is_laid_on_white() -> None:
    image = Image.fromarray(F)
    keyed = load_image(encoded(image, transparency=(255, 0, 0))).array()
    assert keyed[0, 0].tolist() == [255, 255, 255] and keyed[0, -1].tolist() == [0, 255, 0]
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    index = palette.getpixel((5, 0))
    got = load_image(encoded(palette, transparency=index)).array()
    assert got[0, -1].tolist() == [255, 255, 255] and got[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "HSV", "LAB"])
def test_other_modes_as_pillow_converts_them(mode: str) -> None:
    image = Image.fromarray(F).convert("L").convert("1") if mode == "1" else Image.fromarray(F)
    if mode == "LAB":
        image = ImageCms.profileToProfile(
            image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
        image.info.clear()
    elif mode != "1":
        image = image.convert(mode)
    expected = np.asarray(image.convert("RGB"))
    assert (load_image(image).array() == expected).all()


def test_cmyk_jpeg() -> None:
    image = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert (load_image(encoded(image, "JPEG")).array() > 250).all()


def test_sixteen_bit_grey_keeps_its_full_scale() -> None:
    values = np.array([[0, 257, 32896, 65535, 128, 129]], np.uint16)
    expected = np.rint(values / 257).astype(int).tolist()
    for data in (encoded(Image.fromarray(values)), encoded(Image.fromarray(values), "TIFF")):
        assert load_image(data).array()[:, :, 1].tolist() == expected
    assert load_image(Image.fromarray(values.astype(np.int32))).array()[:, :, 2].tolist() == expected
    with pytest.raises(InputError, match="0 to 65535"):
        load_image(Image.fromarray(np.array([[70000]], np.int32)))


def test_floats_on_the_unit_interval() -> None:
    assert load_image(np.array([[0.0, 0.5, 1.0]])).array()[0, :, 0].tolist() == [0, 128, 255]
    assert load_image(Image.fromarray(np.float32([[0.2]]))).array()[0, 0, 0] == 51
    assert load_image(np.float16([[[0.0], [1.0]]])).size == (2, 1)


def test_the_first_frame_of_an_animation_with_a_warning() -> None:
    frames = [Image.new("RGB", (3, 2), color) for color in ("red", "blue")]
    for kind, options in [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})]:
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        with pytest.warns(UserWarning, match="2 frames; the first one is used"):
            assert load_image(data).array()[0, 0].tolist() == [255, 0, 0], kind


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_truncated_files_are_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    for share in (0.2, 0.5, 0.9):
        with pytest.raises(InputError, match=r"damaged|truncated|not a readable image"):
            load_image(data[: int(len(data) * share)])


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be of that size, with next to no data."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", ihdr)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(10_001, 10_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_more_than_100_megapixels_are_refused_before_decoding(width: int, height: int) -> None:
    with warnings.catch_warnings(), pytest.raises(InputError, match="megapixels"):
        warnings.simplefilter("error")
        load_image(png_header(width, height))  # it has no pixels: to decode them would fail otherwise


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"this is no image", "not a readable image; use one of JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n", "not a readable image"),
        (Image.new("RGB", (0, 5)), "at least one pixel, but the Pillow image is 0 x 5"),
        (np.zeros((0, 5, 3), np.uint8), "at least one pixel"),
        (np.zeros((5, 5, 2), np.uint8), r"got shape \[5, 5, 2\]"),
        (np.zeros((3, 5, 5), np.float32), r"got shape \[3, 5, 5\]"),
        (np.zeros((5, 5), np.uint16), "must be uint8 or float on .0, 1., got uint16"),
        (np.zeros((5, 5), bool), "got bool"),
        (np.full((2, 2), 200.0), "divide 0-255 values by 255"),
        (np.array([[np.nan, 0.5]]), "between 0 and 1, got nan"),
        ("no/such/file.png", "There is no image file 'no/such/file.png'"),
        (17, "got int"),
    ],
)
def test_what_is_no_image_is_refused(source: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_image(source)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        load_image(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"empty.png' is empty"):
        load_image(tmp_path / "empty.png")


def test_a_picture_is_immutable_and_compared_by_content() -> None:
    source = F.copy()
    picture = load_image(source)
    before = picture.sha256
    source[:] = 0
    picture.pil().paste("black", (0, 0, 6, 4))
    picture.array()[:] = 0
    assert (picture.array() == F).all() and picture.sha256 == before
    with pytest.raises(AttributeError):
        picture._image = Image.new("RGB", (1, 1))
    assert pickle.loads(pickle.dumps(picture)) == picture
    assert load_image(picture.png()) == picture and hash(load_image(picture.png())) == hash(picture)
    assert load_image(F.reshape(6, 4, 3)) != picture  # the same bytes in another shape


def test_only_rgb_becomes_a_picture_directly() -> None:
    with pytest.raises(InputError, match=r"mode L.*load_image\(\) converts"):
        Picture(Image.new("L", (2, 2)))


PNG = encoded(Image.fromarray(F))
TEXT = base64.b64encode(PNG).decode()


def at_its_end() -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(F).save(file, "PNG")
    return file


class OneWay:
    """A file that cannot seek, such as a response of a server."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)


@pytest.mark.parametrize(
    "source",
    [
        at_its_end(),
        io.BytesIO(PNG),
        io.BufferedReader(io.BytesIO(PNG)),
        OneWay(PNG),
        TEXT,
        TEXT.encode(),
        TEXT.rstrip("="),
        "\n".join(textwrap.wrap(TEXT, 20)),
        base64.urlsafe_b64encode(PNG).decode(),
        f"data:image/png;base64,{TEXT}",
        f"DATA:;base64,{urllib.parse.quote(TEXT, safe='')}".encode(),
        f"data:image/png,{urllib.parse.quote_from_bytes(PNG)}",
    ],
)
def test_file_objects_data_urls_and_base64_are_read(source: object) -> None:
    assert (load_image(source).array() == F).all()


def test_a_file_url_and_an_open_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a b.png"
    path.write_bytes(PNG)
    assert (load_image(path.as_uri()).array() == F).all()
    with path.open("rb") as file:
        assert (load_image(file).array() == F).all() and not file.closed
    named = tmp_path / TEXT[:32].replace("/", "_")  # a name that is base64, too
    named.write_bytes(PNG)
    assert (load_image(str(named)).array() == F).all()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://example.com/cat.jpg", "'https://example.com/cat.jpg' is a URL"),
        (Path("http://example.com/cat.jpg"), "is a URL"),
        ("HTTPS://example.com/x?y=%20 z", "is a URL"),
        ("s3://bucket/cat.jpg", "is a URL"),
        ("data:image/png;base64,@@@", "holds no valid base64"),
        ("data:image/png", "has no comma"),
        ("data:image/svg+xml,<svg/>", "the data URL is not a readable image; it is an SVG"),
        (f"data:image/png;base64,{TEXT[:60]}", "the data URL is a damaged or truncated image"),
        (TEXT[:60], "the base64 text is a damaged or truncated image"),
        (base64.b64encode(b"no image at all, but long enough").decode(), "no image file"),
        ("A" * 10_000, "cannot be read: File name too long"),
        (io.StringIO("text"), "opened as bytes, not as text"),
        (io.BytesIO(), "the BytesIO is empty"),
        (io.BytesIO(b"no image"), "the BytesIO is not a readable image"),
    ],
)
def test_what_is_no_image_is_named_for_what_it_is(source: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_image(source)
    assert len(str(caught.value)) < 1000


def test_a_closed_file_and_one_that_gives_something_else_are_said() -> None:
    closed = io.BytesIO(PNG)
    closed.close()
    with pytest.raises(InputError, match="BytesIO given as an image cannot be read"):
        load_image(closed)
    with pytest.raises(InputError, match="gives no bytes: dict"):
        load_image(type("Odd", (), {"read": lambda self, size: {"a": 1}})())


@pytest.mark.parametrize("size", [(1, 100_000_000), (100_001, 2), (2, 100_001)])
def test_sides_that_take_more_memory_than_their_pixels_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="sides of an image may have at most 100000 pixels"):
        load_image(png_header(*size))
    with pytest.raises(InputError, match="sides of an image"):
        load_image(np.broadcast_to(np.uint8(0), size))


def test_an_image_of_ones_own_is_copied_and_never_changed() -> None:
    own = Image.fromarray(F)
    picture = load_image(own)
    own.putpixel((1, 1), (9, 9, 9))
    assert (picture.array() == F).all() and Picture.of(own).pil() is not own


# ---- nothing changes without a word
def _file(image, format, **options):
    data = io.BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return _file(Image.new("RGB", (8, 6), "red"), "JPEG", exif=exif)


CHANGED = {
    "transparent": (_file(Image.new("RGBA", (8, 6), (255, 0, 0, 9)), "PNG"), "laid on white"),
    "palette with alpha": (
        _file(Image.new("RGBA", (8, 6), (9, 0, 0, 9)).quantize(4), "PNG"),
        "laid on white",
    ),
    "CMYK": (_file(Image.new("CMYK", (8, 6), (9, 9, 9, 9)), "JPEG"), "CMYK"),
    "16 bits": (_file(Image.new("I;16", (8, 6), 3000), "PNG"), "16 bits"),
    "turned": (_turned(), "EXIF"),
    "an array with alpha": (np.zeros((6, 8, 4), np.uint8), "laid on white"),
    "a Pillow image": (Image.new("LA", (8, 6), (9, 9)), "laid on white"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_picture_knows_what_was_changed_when_it_was_read(name, tmp_path):
    source, words = CHANGED[name]
    picture = load_image(source)
    assert len(picture.changes) == 1 and words in picture.changes[0]
    assert load_image(picture) is picture
    if isinstance(source, bytes):
        (tmp_path / "a").write_bytes(source)
        again = load_image(tmp_path / "a")
        assert (again.changes, again.path, again) == (picture.changes, str(tmp_path / "a"), picture)
    assert load_image(picture.png()).changes == ()


def test_an_animation_is_among_them():
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    data = _file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match="animation of 2 frames"):
        assert "animation" in load_image(data).changes[0]


@pytest.mark.parametrize("mode", ["LAB", "YCbCr"])
def test_other_colours_are_among_them(mode):
    image = Image.merge(mode, [Image.new("L", (8, 6), value) for value in (90, 120, 140)])
    assert load_image(_file(image, "TIFF")).changes == (f"{mode} colours were converted to RGB",)


OTHER_FILES = {
    "a HEIC photo": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "a video": b"\x1aE\xdf\xa3\x01\0\0\0",
    "a video (MP4 or MOV)": b"\0\0\0\x18ftypisom\0\0\0\0",
    "a PDF": b"%PDF-1.7\n",
    "a Photoshop file": b"8BPS\0\x01",
    "a DICOM file": bytes(128) + b"DICM",
    "a NumPy array": b"\x93NUMPY\x01\0",
    "an archive": b"PK\x03\x04",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
    "an SVG drawing": b'<?xml version="1.0"?>\n<!-- made -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "a web page": b"\xef\xbb\xbf<!DOCTYPE html><html>",
    "JSON": b'{"error": "not found"}',
}


@pytest.mark.parametrize("title", OTHER_FILES)
def test_a_file_that_is_no_image_is_named(title, tmp_path):
    (tmp_path / "picture.png").write_bytes(OTHER_FILES[title])
    for source in (OTHER_FILES[title], io.BytesIO(OTHER_FILES[title]), tmp_path / "picture.png"):
        with pytest.raises(InputError, match=re.escape(f"; it is {title}. ")):
            load_image(source)
    with pytest.raises(InputError, match="use one of JPEG"):
        load_image(b"neither one nor the other")
