import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.diagrams import pictures


def png(width=3, height=2):
    def chunk(kind, data):
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = b"".join(b"\0" + b"\xff\0\0" * width for _ in range(min(height, 50)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def jpeg(width=640, height=480, marker=0xC2):
    app = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + bytes(9)
    frame = bytes([0xFF, marker]) + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + app + b"\xff" + frame + b"\xff\xd9"


def webp(kind, data):
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


PICTURES = [
    (png(30, 20), "image/png", 30, 20),
    (jpeg(), "image/jpeg", 640, 480),
    (jpeg(marker=0xC0), "image/jpeg", 640, 480),
    (
        webp(b"VP8X", bytes(4) + (99).to_bytes(3, "little") + (49).to_bytes(3, "little")),
        "image/webp",
        100,
        50,
    ),
    (
        webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 320 | 0x4000, 200)),
        "image/webp",
        320,
        200,
    ),
    (webp(b"VP8L", b"\x2f" + struct.pack("<I", 319 | 199 << 14)), "image/webp", 320, 200),
]


@pytest.mark.parametrize("data, mimetype, width, height", PICTURES)
def test_the_bytes_say_what_a_picture_is(data, mimetype, width, height):
    assert pictures.checked(data) == (mimetype, data, width, height)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "neither"),
        (b"GIF89a" + bytes(50), "neither"),
        (b"<html><script>alert(1)</script></html>", "neither"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "neither"),
        (png(30, 20)[:20], "cut off"),
        (jpeg()[:12], "cut off"),
        (webp(b"VP8X", bytes(4)), "cut off"),
        (webp(b"ABCD", bytes(20)), "no WebP"),
        (png(0, 20), "1 to 12000"),
        (png(12_001, 1), "1 to 12000"),
        (jpeg(10_000, 5_000), "40 million"),
        (png() + bytes(pictures.MOST_BYTES), "larger than 4 MB"),
    ],
)
def test_what_is_no_picture_or_too_large_is_refused(data, words):
    with pytest.raises(ValueError, match=words):
        pictures.checked(data)


@given(st.binary(max_size=200), st.sampled_from([data for data, *_ in PICTURES]), st.data())
def test_any_damage_is_refused_or_taken_and_nothing_else(noise, data, drawn):
    place = drawn.draw(st.integers(0, len(data)))
    with suppress(ValueError):
        found = pictures.checked(data[:place] + noise + data[place + len(noise) :])
        assert 0 < found.width <= 100_000
