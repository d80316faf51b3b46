"""Clean an SVG of all that is not a picture: scripts, events, links, what lies elsewhere.

What is not known to be harmless is left out, and the rest is written anew; no byte of the original
is passed on as it was. The pages show the result only as <img>, and it is served with headers under
which nothing in it could act either.

Source: https://www.w3.org/TR/SVG2/eltindex.html, https://www.w3.org/TR/SVG2/attindex.html
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
XML = "http://www.w3.org/XML/1998/namespace"

MOST_ELEMENTS = 50_000  # read
MOST_DEPTH = 200
MOST_DRAWN = 100_000  # elements, each counted as often as others refer to it
LARGEST_SIDE = 100_000.0


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SHAPES = "path rect circle ellipse line polyline polygon use image"
GROUPS = "svg g a switch defs symbol clipPath mask marker pattern linearGradient radialGradient"
TEXTS = _words("title desc text tspan textPath style")
FILTERS = (
    "filter feBlend feColorMatrix feComposite feDropShadow feFlood feGaussianBlur feMerge"
    " feMergeNode feOffset"
)
ELEMENTS = _words(f"{SHAPES} {GROUPS} {FILTERS} stop") | TEXTS
ATTRIBUTES = _words(
    """
    id class style lang space transform viewBox preserveAspectRatio x y width height cx cy r rx ry
    fx fy fr x1 y1 x2 y2 d points pathLength dx dy rotate textLength lengthAdjust startOffset method
    spacing side offset gradientUnits gradientTransform spreadMethod patternUnits
    patternContentUnits patternTransform clipPathUnits maskUnits maskContentUnits markerUnits
    markerWidth markerHeight refX refY orient filterUnits primitiveUnits in in2 result mode operator
    k1 k2 k3 k4 type values stdDeviation flood-color flood-opacity href role
    """
)
# Also as declarations of CSS.
PROPERTIES = _words(
    """
    alignment-baseline baseline-shift clip-path clip-rule color color-interpolation
    color-interpolation-filters display dominant-baseline fill fill-opacity fill-rule filter
    flood-color flood-opacity font font-family font-size font-size-adjust font-stretch font-style
    font-variant font-weight image-rendering isolation letter-spacing line-height marker marker-end
    marker-mid marker-start mask mix-blend-mode opacity overflow paint-order shape-rendering
    stop-color stop-opacity stroke stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin
    stroke-miterlimit stroke-opacity stroke-width text-align text-anchor text-decoration
    text-rendering text-transform transform transform-origin unicode-bidi vector-effect visibility
    white-space word-spacing writing-mode
    """
)
LOCAL = re.compile(r"#[^\s\"'()#]{1,200}")
REFERENCE = re.compile(r"url\(\s*([\"']?)(#[^\s\"'()#]{1,200})\1\s*\)", re.IGNORECASE)
DATA = re.compile(r"data:image/(?:png|jpeg|webp);base64,([A-Za-z0-9+/=\s]+)")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
RULE = re.compile(r"([^{}]*)\{([^{}]*)\}")
SELECTOR = re.compile(r"[\w\s.#,>*~+:()-]{1,500}")
FORBIDDEN = re.compile(
    r"url|//|[\\{}<@]|expression|image\(|image-set|src\(|script\s*:|^\s*data\s*:"
)
NAME = re.compile(r"[.#]?[\w-]+|\*")
LENGTH = re.compile(r"\s*([0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(?:px|pt|pc|mm|cm|in|em)?\s*")

IsPicture = Callable[[bytes], object]


class Cleaned(NamedTuple):
    """A harmless SVG and its size, whose ratio is what matters."""

    data: bytes
    width: float
    height: float


def clean(data: bytes, is_picture: IsPicture) -> Cleaned:
    """Return an SVG without anything that could act, or reach beyond it.

    Args:
        is_picture: raises ValueError for the bytes of an embedded image that is none.

    Raises:
        ValueError: it is no SVG, has no size, or is too much for a browser.
    """
    root = _Reader(is_picture).read(data)
    width, height = _size(root)
    root.set("width", f"{width:g}")
    root.set("height", f"{height:g}")
    _check_references(root)
    root.set("xmlns", SVG)
    text: str = ElementTree.tostring(root, encoding="unicode")
    return Cleaned(text.encode(), width, height)


class _Reader:
    """Builds a tree of what is allowed."""

    def __init__(self, is_picture: IsPicture) -> None:
        self._is_picture = is_picture
        self._open: list[Element] = []
        self._left_out = 0  # depth below an element that is left out; 0: none
        self._count = 0
        self._root: Element | None = None

    def read(self, data: bytes) -> Element:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            raise ValueError(f"it is no SVG: {error}") from error
        if self._root is None:
            raise ValueError("it is no SVG")
        return self._root

    def _doctype(self, name: str, system: str | None, public: str | None, has_subset: bool) -> None:
        if has_subset:
            raise ValueError("it declares entities: save it as plain SVG")

    def _entity(self, *declared: object) -> None:
        raise ValueError("it declares entities: save it as plain SVG")

    def _start(self, name: str, given: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS:
            raise ValueError(f"it has more than {MOST_ELEMENTS} elements")
        if len(self._open) + self._left_out >= MOST_DEPTH:
            raise ValueError(f"its elements are nested more than {MOST_DEPTH} deep")
        space, _, local = name.rpartition(" ")
        if self._root is None and (space, local) != (SVG, "svg"):
            raise ValueError("it is no SVG")
        if self._left_out or space != SVG or local not in ELEMENTS:
            self._left_out += 1
            return
        # A link is a group: people press what is placed on the picture, not the picture.
        element = Element("g" if local == "a" else local, dict(self._attributes(local, given)))
        if self._open:
            self._open[-1].append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, name: str) -> None:
        if self._left_out:
            self._left_out -= 1
            return
        element = self._open.pop()
        if element.tag == "style":
            element.text = "\n".join(_rules(element.text or ""))

    def _text(self, text: str) -> None:
        if self._left_out or not self._open or self._open[-1].tag not in TEXTS:
            return
        element = self._open[-1]
        if len(element):
            element[-1].tail = (element[-1].tail or "") + text
        else:
            element.text = (element.text or "") + text

    def _attributes(self, tag: str, given: dict[str, str]) -> Iterator[tuple[str, str]]:
        for full, value in given.items():
            space, _, name = full.rpartition(" ")
            if (space, name) == (XML, "space"):
                yield "xml:space", value
            elif space not in ("", XLINK) or name not in ATTRIBUTES | PROPERTIES:
                continue
            elif name == "href":
                if (kept := self._href(tag, value)) is not None:
                    yield "href", kept
            elif space == XLINK:
                continue
            elif name == "style":
                yield "style", _declarations(value)
            elif _is_harmless(value):
                yield name, value

    def _href(self, tag: str, value: str) -> str | None:
        """Return a reference within the picture, or an image in it; None for any other."""
        value = value.strip()
        if tag in ("a", "image"):
            found = DATA.fullmatch(value) if tag == "image" else None
            if found is None:
                return None
            try:
                self._is_picture(base64.b64decode(found[1]))
            except (ValueError, binascii.Error):
                return None
            return "".join(value.split())
        return value if LOCAL.fullmatch(value) else None


def _rules(text: str) -> Iterator[str]:
    """Yield the harmless rules of a style sheet; at-rules are left out."""
    for selector, declarations in RULE.findall(COMMENT.sub(" ", text)):
        selector = " ".join(selector.split())
        if SELECTOR.fullmatch(selector) and (kept := _declarations(declarations)):
            yield f"{selector} {{ {kept} }}"


def _declarations(text: str) -> str:
    """Return the harmless declarations of CSS."""
    kept = []
    for part in COMMENT.sub(" ", text).split(";"):
        name, colon, value = part.partition(":")
        name, value = name.strip().lower(), " ".join(value.split())
        if colon and name in PROPERTIES and value and _is_harmless(value):
            kept.append(f"{name}: {value}")
    return "; ".join(kept)


def _is_harmless(value: str) -> bool:
    """Tell whether a value refers to nothing outside the picture.

    Backslashes hide what is behind them from us, but not from a browser.
    """
    return FORBIDDEN.search(REFERENCE.sub("", value).lower()) is None


def _size(root: Element) -> tuple[float, float]:
    """Return width and height, and see that the picture has a view box."""
    box = _numbers(root.get("viewBox", ""))
    if len(box) != 4:
        width, height = _length(root.get("width")), _length(root.get("height"))
        if width is None or height is None:
            raise ValueError("it has no size: give it a viewBox, or a width and a height")
        box = [0.0, 0.0, width, height]
        root.set("viewBox", f"0 0 {width:g} {height:g}")
    width, height = box[2:]
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise ValueError(f"its sides must be above 0 and at most {LARGEST_SIDE:g}")
    if not 1 / 50 <= width / height <= 50:
        raise ValueError("one of its sides is more than 50 times as long as the other")
    return width, height


def _numbers(text: str) -> list[float]:
    try:
        found = [float(part) for part in re.split(r"[\s,]+", text.strip())]
    except ValueError:
        return []
    return found if all(map(math.isfinite, found)) else []


def _length(text: str | None) -> float | None:
    found = LENGTH.fullmatch(text or "")
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def _check_references(root: Element) -> None:
    """Refuse pictures that refer to themselves, or to so much that no browser could draw it."""
    named: dict[str, Element] = {}
    for element in root.iter():
        if (name := element.get("id")) is not None:
            named.setdefault(name, element)
    sheet = list(_sheet(root))
    drawn: dict[Element, int] = {}
    under_way: set[Element] = set()
    # Without recursion, which has a bound: an element comes up again when its parts are known.
    todo: list[tuple[Element, list[Element] | None]] = [(root, None)]
    while todo:
        element, parts = todo.pop()
        if parts is not None:
            under_way.discard(element)
            drawn[element] = 1 + sum(drawn[part] for part in parts)
            if drawn[element] > MOST_DRAWN:
                raise ValueError("it repeats its parts too often")
        elif element in under_way:
            raise ValueError("a part of it refers to itself")
        elif element not in drawn:
            under_way.add(element)
            targets = {*_references(element, sheet)}
            parts = [*element, *(named[name] for name in targets if name in named)]
            todo.append((element, parts))
            todo += [(part, None) for part in parts]


def _references(element: Element, sheet: list[tuple[set[str], list[str]]]) -> Iterator[str]:
    """Yield the names of the parts that an element refers to, itself or by the style sheet."""
    for name, value in element.attrib.items():
        if name == "href" and value.startswith("#"):
            yield value[1:]
        elif "url" in value.lower():
            yield from _targets(value)
    own = {"*", element.tag, f"#{element.get('id')}"}
    own |= {f".{name}" for name in element.get("class", "").split()}
    for names, targets in sheet:
        if not names.isdisjoint(own):
            yield from targets


def _sheet(root: Element) -> Iterator[tuple[set[str], list[str]]]:
    """Yield the rules that refer to something: the names in their selectors, and what to.

    A rule counts for each element that has one of the names, which are a few too many.
    """
    for element in root.iter("style"):
        for selector, declarations in RULE.findall(element.text or ""):
            if targets := _targets(declarations):
                yield set(NAME.findall(selector)), targets


def _targets(value: str) -> list[str]:
    return [target[1:] for _, target in REFERENCE.findall(value)]
