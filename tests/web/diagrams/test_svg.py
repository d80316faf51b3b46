"""What is left of an SVG can neither act nor reach out; tried with hostile ones and with any."""

import base64
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.diagrams import svg
from web.diagrams.pictures import embedded

SVG = "http://www.w3.org/2000/svg"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
DATA_PNG = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
HEAD = f'<svg xmlns="{SVG}" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 50"'


def clean(inner, more=""):
    """Return the cleaned text of an SVG."""
    return svg.clean(f"{HEAD} {more}>{inner}</svg>".encode(), embedded).data.decode()


def check(text):
    """Fail if something is left that could act or reach out."""
    root = ElementTree.fromstring(text)
    for element in root.iter():
        assert element.tag.startswith(f"{{{SVG}}}"), element.tag
        name = element.tag.removeprefix(f"{{{SVG}}}")
        assert name in svg.ELEMENTS - {"a"}
        if name == "style":
            harmless(element.text or "")
        for attribute, value in element.attrib.items():
            local = attribute.rpartition("}")[2]
            assert not local.lower().startswith("on")
            if local == "href":
                assert value.startswith(("#", "data:image/png;base64,", "data:image/jpeg;"))
            else:
                harmless(value)


def harmless(value):
    rest = svg.REFERENCE.sub("", value.lower())
    for part in ("url", "javascript:", "expression", "@import", "\\", "<", "data:"):
        assert part not in rest, value


@pytest.mark.parametrize(
    "inner",
    [
        "<script>alert(1)</script>",
        '<script href="https://evil.example/x.js"/>',
        '<g onload="alert(1)"><rect onclick="alert(2)" width="1"/></g>',
        '<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><script/></body></foreignObject>',
        '<image href="https://evil.example/x.png"/>',
        '<image xlink:href="//evil.example/x.png"/>',
        '<image href="data:image/svg+xml;base64,PHN2Zy8+"/>',
        '<image href="data:text/html;base64,PHN2Zy8+"/>',
        f'<image href="data:image/png;base64,{base64.b64encode(b"<svg/>").decode()}"/>',
        '<use href="https://evil.example/x.svg#a"/>',
        '<use xlink:href="data:image/svg+xml,#a"/>',
        '<a href="javascript:alert(1)"><text>press</text></a>',
        '<a xlink:href=" java&#10;script:alert(1)"><text>press</text></a>',
        '<rect style="fill:url(https://evil.example/x)"/>',
        '<rect style="fill:u\\72l(//evil.example/x)"/>',
        '<rect fill="url(//evil.example/x#a)"/>',
        "<rect fill=\"URL( 'http://evil.example' )\"/>",
        "<rect style=\"background:image-set('x.png' 1x)\"/>",
        '<rect style="behavior:expression(alert(1))"/>',
        '<rect filter="url(#a) url(http://evil.example/)"/>',
        "<style>@import 'https://evil.example/x.css'; rect { fill: red }</style>",
        "<style>@font-face { src: url(https://evil.example/x) }</style>",
        "<style>rect { fill: url(https://evil.example/x); stroke: red }</style>",
        "<style>r/**/ect{fill:u/**/rl(//evil.example)}</style>",
        "<style>&lt;/style>&lt;script>alert(1)&lt;/script></style>",
        "<style><![CDATA[</style><script>alert(1)</script>]]></style>",
        '<set attributeName="href" to="javascript:alert(1)"/>',
        '<animate attributeName="onload" values="alert(1)"/>',
        '<feImage href="https://evil.example/x.png"/>',
        '<iframe src="https://evil.example"/>',
        '<handler type="application/ecmascript">alert(1)</handler>',
        '<x:script xmlns:x="http://www.w3.org/2000/svg">alert(1)</x:script>',
        '<h:script xmlns:h="http://www.w3.org/1999/xhtml">alert(1)</h:script>',
        '<h:img xmlns:h="http://www.w3.org/1999/xhtml" src="x" onerror="alert(1)"/>',
        "<?xml-stylesheet href='https://evil.example/x.css'?>",
        '<g xml:base="https://evil.example/"><use href="#a"/></g>',
    ],
)
def test_hostile_pictures_are_harmless(inner):
    text = clean(inner + '<circle r="5"/>')
    check(text)
    assert "evil" not in text
    assert "alert" not in text
    assert '<circle r="5"' in text


@pytest.mark.parametrize(
    "inner, kept",
    [
        ('<rect x="1" style="fill:red;stroke: #00f"/>', 'style="fill: red; stroke: #00f"'),
        ('<g id="a"/><use xlink:href="#a"/>', 'href="#a"'),
        ('<linearGradient id="g"/><rect fill="url(#g)"/>', 'fill="url(#g)"'),
        ("<text>5 &lt; 6 &amp; more<tspan>!</tspan> so</text>", "5 &lt; 6 &amp; more"),
        ("<style>.a, rect:hover { fill: red; x: y }</style>", ".a, rect:hover { fill: red }"),
        (f'<image width="5" href="{DATA_PNG}"/>', DATA_PNG),
        ('<a href="https://x.example"><path d="M0 0h5"/></a>', '<g><path d="M0 0h5"'),
        ("<switch><g><path d='M1 1'/></g></switch>", "M1 1"),
    ],
)
def test_what_makes_the_picture_is_kept(inner, kept):
    assert kept in clean(inner)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "no SVG"),
        (b"<svg", "no SVG"),
        (b"<html/>", "no SVG"),
        (b'<svg viewBox="0 0 1 1"/>', "no SVG"),  # of no namespace
        (f'<svg xmlns="{SVG}"/>'.encode(), "no size"),
        (f'<svg xmlns="{SVG}" viewBox="0 0 0 5"/>'.encode(), "sides"),
        (f'<svg xmlns="{SVG}" viewBox="0 0 nan 5"/>'.encode(), "no size"),
        (f'<svg xmlns="{SVG}" viewBox="0 0 1e9 1"/>'.encode(), "sides"),
        (f'<svg xmlns="{SVG}" viewBox="0 0 1000 1"/>'.encode(), "50 times"),
        (
            f'<!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="{SVG}" viewBox="0 0 1 1"/>'.encode(),
            "entities",
        ),
        (
            f'<!DOCTYPE svg [<!ENTITY a SYSTEM "/etc/hosts">]><svg xmlns="{SVG}">&a;'.encode(),
            "entities",
        ),
        (f'<svg xmlns="{SVG}" viewBox="0 0 1 1">{"<g>" * 300}</svg>'.encode(), "deep"),
        (f'<svg xmlns="{SVG}" viewBox="0 0 1 1">{"<g/>" * 60_000}</svg>'.encode(), "50000"),
    ],
)
def test_what_is_no_picture_is_refused(data, words):
    with pytest.raises(ValueError, match=words):
        svg.clean(data, embedded)


def test_a_picture_that_repeats_itself_without_end_is_refused():
    levels = "".join(
        f'<g id="l{n}">{f"""<use href="#l{n - 1}"/>""" * 10}</g>' for n in range(1, 12)
    )
    with pytest.raises(ValueError, match="too often"):
        clean(f'<defs><path id="l0" d="M0 0"/>{levels}</defs><use href="#l11"/>')
    patterns = "".join(
        f'<pattern id="p{n}">{f"""<rect class="c{n}"/>""" * 10}</pattern>' for n in range(12)
    )
    rules = "".join(f".c{n} {{ fill: url(#p{n - 1}) }}" for n in range(1, 12))
    with pytest.raises(ValueError, match="too often"):
        clean(f'<style>{rules}</style>{patterns}<rect fill="url(#p11)"/>')


@pytest.mark.parametrize(
    "inner",
    [
        '<g id="a"><use href="#a"/></g>',
        '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>',
        '<pattern id="a"><rect fill="url(#a)"/></pattern>',
        '<mask id="a" mask="url(#a)"/>',
    ],
)
def test_a_picture_that_refers_to_itself_is_refused(inner):
    with pytest.raises(ValueError, match="itself"):
        clean(inner)


def test_a_plain_doctype_does_no_harm():
    doctype = '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x.dtd">'
    data = f'{doctype}<svg xmlns="{SVG}" width="200mm" height="100mm"/>'.encode()
    found = svg.clean(data, embedded)
    assert (found.width, found.height) == (200, 100)
    assert b'viewBox="0 0 200 100"' in found.data


def test_the_example_is_whole_after_cleaning():
    path = Path(__file__).parents[3] / "static" / "diagrams" / "house.svg"
    before = ElementTree.fromstring(path.read_bytes())
    after = ElementTree.fromstring(svg.clean(path.read_bytes(), embedded).data)
    assert [one.tag for one in after.iter()] == [one.tag for one in before.iter()]
    for old, new in zip(before.iter(), after.iter(), strict=True):
        assert new.attrib == old.attrib


# Any trees, of what is harmless and what is not

NAMES = [*sorted(svg.ELEMENTS), "script", "foreignObject", "animate", "set", "feImage", "iframe"]
HOSTILE = st.sampled_from(
    [
        "javascript:alert(1)",
        "url(http://evil.example)",
        "url('#a')",
        "#a",
        "fill:url(//evil.example);stroke:red",
        "\\75rl(x)",
        "data:text/html,x",
        "expression(1)",
        "</style><script>",
    ]
)
VALUES = HOSTILE | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        [*sorted(svg.ATTRIBUTES | svg.PROPERTIES), "onload", "onclick", "src", "xlink:href"]
    ),
    VALUES,
    max_size=4,
)


def written(tree):
    name, attributes, text, children = tree
    given_ = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    inner = escape(text) + "".join(map(written, children))
    return f"<{name}{given_}>{inner}</{name}>"


TREES = st.recursive(
    st.tuples(st.sampled_from(NAMES), ATTRIBUTES, VALUES, st.just([])),
    lambda inner: st.tuples(
        st.sampled_from(NAMES), ATTRIBUTES, VALUES, st.lists(inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.lists(TREES, max_size=4), ATTRIBUTES)
def test_any_tree_is_refused_or_harmless(trees, attributes):
    attributes.pop("viewBox", None)
    more = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    try:
        text = clean("".join(map(written, trees)), more)
    except ValueError:
        return
    check(text)
    assert svg.clean(text.encode(), embedded).data.decode() == text  # nothing is left to clean


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda it: f"{HEAD}>".encode() + it))
def test_any_bytes_are_refused_or_harmless(data):
    with suppress(ValueError):
        check(svg.clean(data, embedded).data.decode())
