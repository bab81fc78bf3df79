"""What a file is that was given as an image and is none, by its first bytes, and what to do with it.

Nothing of it is decoded. Not for reading images (`isi_widget.stimulus.loading`).
"""

from __future__ import annotations

import re

#: Bytes that are looked at.
HEAD = 512
_AS_IMAGE = "Save it as PNG or JPEG"
_FRAME = "Save one frame of it as PNG"
#: Pattern of the first bytes -> (what it is, what to do).
_KINDS = (
    (
        rb"....ftyp(heic|heix|heim|heis|hevc|mif1|msf1)",
        "a HEIC photo",
        f"{_AS_IMAGE}, or decode it: pillow_heif.read_heif(path).to_pillow()",
    ),
    (rb"....ftyp(?!avi[fs])", "a video (MP4 or MOV)", _FRAME),
    (rb"\x1aE\xdf\xa3|RIFF....AVI |FLV\x01|OggS", "a video", _FRAME),
    (rb"%PDF", "a PDF", "Save the page as PNG"),
    (rb"%!PS", "PostScript", _AS_IMAGE),
    (rb"8BPS", "a Photoshop file", _AS_IMAGE),
    (rb".{128}DICM", "a DICOM file", "Read it with pydicom, and give its pixels as an array, 0 to 1"),
    (rb"\x93NUMPY", "a NumPy array", "Give numpy.load(path)"),
    (rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf", "an archive", "Unpack it, and give the image in it"),
    (rb"version https://git-lfs", "a pointer of Git LFS", "Run 'git lfs pull' where it lies"),
    (rb"(?i)\s*(<\?xml.*?)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg", "an SVG drawing", _AS_IMAGE),
    (rb"(?i)\s*<(!doctype html|html|head|body)", "a web page", "Download the image itself"),
    (rb'\s*[{\[]\s*["{\[]', "JSON", "Give the image that it names"),
)


def named(head: bytes) -> tuple[str, str] | None:
    """Return what a file is and what to do with it; None if it is not known.

    head : its first bytes; `HEAD` of them are enough.
    """
    start = head.removeprefix(b"\xef\xbb\xbf")[:HEAD]
    return next(((title, advice) for kind, title, advice in _KINDS if re.match(kind, start, re.DOTALL)), None)
