"""The colours of lines, as people with each kind of colour blindness see them."""

import re
from itertools import combinations

import pytest

from jph.paths import static_dir

GROUNDS = {"light": "#ffffff", "dark": "#171e25"}
LEAST_DISTANCE = 10  # CIE 1976; 2.3 can just be seen
LEAST_CONTRAST = 3  # WCAG 2.2, 1.4.11
# Whole loss of one kind of cone, in linear RGB.
# Source: Machado, Oliveira, Fernandes, A Physiologically-based Model for Simulation of Color Vision
# Deficiency, 2009, table 1.
SIGHTS = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def linear(color):
    """Return red, green and blue as amounts of light."""
    parts = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def lightness(color):
    red, green, blue = linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def seen(color, sight):
    """Return a colour as somebody sees it, in CIELAB."""
    light = linear(color)
    red, green, blue = (
        min(max(sum(a * b for a, b in zip(row, light, strict=True)), 0), 1) for row in SIGHTS[sight]
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.fixture
def palettes():
    """Return the colours of lines in each scheme."""
    found = re.findall(r"--line-\d: (#\w{6});", (static_dir() / "css/graphs.css").read_text())
    assert len(found) == 16
    return {"light": found[:8], "dark": found[8:]}


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("scheme", GROUNDS)
def test_everybody_tells_the_colours_apart(palettes, scheme, sight):
    for one, other in combinations(palettes[scheme], 2):
        parts = zip(seen(one, sight), seen(other, sight), strict=True)
        assert sum((a - b) ** 2 for a, b in parts) ** 0.5 > LEAST_DISTANCE, (one, other)


@pytest.mark.parametrize("scheme", GROUNDS)
def test_each_colour_stands_out_from_its_ground(palettes, scheme):
    ground = lightness(GROUNDS[scheme])
    for color in palettes[scheme]:
        low, high = sorted((ground, lightness(color)))
        assert (high + 0.05) / (low + 0.05) > LEAST_CONTRAST, color
