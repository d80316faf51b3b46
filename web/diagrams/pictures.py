"""Pictures that people upload: what they are, by their bytes, and how large. Pure."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from web.diagrams import svg

MOST_BYTES = 4 << 20
LARGEST_SIDE = 12_000  # pixels
MOST_PIXELS = 40_000_000  # a browser unpacks a picture whole, at 4 bytes for each
KINDS = "SVG, PNG, JPEG or WebP"


class Picture(NamedTuple):
    """A checked picture."""

    mimetype: str
    data: bytes
    width: float
    height: float


def checked(data: bytes) -> Picture:
    """Return a picture that is fit to be shown; an SVG is cleaned.

    Raises:
        ValueError: it is none, or too large.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 20} MB")
    found = _raster(data)
    if found is not None:
        return found
    if b"<svg" in data[:65_536] or b"svg" in data[:65_536].replace(b"\0", b""):
        return Picture("image/svg+xml", *svg.clean(data, embedded))
    raise ValueError(f"it is neither {KINDS}")


def embedded(data: bytes) -> None:
    """Check an image within an SVG.

    Raises:
        ValueError: it is none, or too large.
    """
    if _raster(data) is None:
        raise ValueError("it is no picture")


def _raster(data: bytes) -> Picture | None:
    """Return a picture made of pixels, None if it is none."""
    size: tuple[int, int] | None = None
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            mimetype, size = "image/png", struct.unpack(">II", data[16:24])
        elif data.startswith(b"\xff\xd8\xff"):
            mimetype, size = "image/jpeg", _size_of_jpeg(data)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            mimetype, size = "image/webp", _size_of_webp(data)
    except struct.error:
        raise ValueError("the picture is cut off") from None
    if size is None:
        return None
    width, height = size
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise ValueError(f"its sides must have 1 to {LARGEST_SIDE} pixels")
    if width * height > MOST_PIXELS:
        raise ValueError(f"it has more than {MOST_PIXELS // 1_000_000} million pixels")
    return Picture(mimetype, data, float(width), float(height))


def _size_of_jpeg(data: bytes) -> tuple[int, int]:
    """Return the size in the frame header (ITU T.81, section B.2.2)."""
    for marker, place in _segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[place + 3 : place + 7])
            return width, height
    raise ValueError("the picture is cut off")


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker of each segment, and where its length stands."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        yield marker, place + 2
        place += 2 + struct.unpack(">H", data[place + 2 : place + 4])[0]


def _size_of_webp(data: bytes) -> tuple[int, int]:
    """Return the size in the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = data[24:27], data[27:30]
        if len(height) < 3:
            raise ValueError("the picture is cut off")
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width_14, height_14 = struct.unpack("<HH", data[26:30])
        return width_14 & 0x3FFF, height_14 & 0x3FFF
    if kind == b"VP8L" and data[20:21] == b"\x2f":
        (bits,) = struct.unpack("<I", data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise ValueError("it is no WebP that browsers know")
