"""Tests of the links between the documents, and of the page that lists them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings of a document, as its readers make them."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE
    )
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document):
    missing = []
    for link in LINK.findall(document.read_text()):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        is_there = target.exists() and (
            not anchor or target.suffix != ".md" or anchor in anchors(target.read_text())
        )
        if not is_there:
            missing.append(link)
    assert missing == []


def test_the_contents_page_names_every_document():
    listed = LINK.findall((ROOT / "docs" / "README.md").read_text())
    names = {link.partition("#")[0] for link in listed}
    there = {path.name for path in ROOT.glob("docs/*.md")} - {"README.md"}
    assert there - names == set()
