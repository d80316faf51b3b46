"""The reference in docs/configuration.md says what the code does."""

import json
import re
from dataclasses import MISSING, is_dataclass
from pathlib import Path

import pytest

from collectors.retention import Keep
from jph import registry
from jph.bus.group import Group, Multicast
from jph.config import checks
from jph.config.model import DERIVED, Component, Document
from jph.config.report import Report
from jph.settings import INJECTED, item_of, options_of, settings_of
from jph.stores.address import Sql
from sensors.adc_pi import Conversion

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
PLUG_IN = "### Types of other packages"  # tests/docs/test_plug_in.py looks at its example
EXAMPLES = re.sub(rf"^{PLUG_IN}$.*?(?=^##? )", "", PAGE, flags=re.MULTILINE | re.DOTALL)
IMPLEMENTED = [name for name, place in registry.TYPES.items() if place]


def section(title):
    """Return the text below a heading, without that of its siblings."""
    level = re.search(rf"^(#+) {re.escape(title)}$", PAGE, re.MULTILINE)
    assert level, f"no heading {title}"
    rest = PAGE[level.end() :]
    return re.split(rf"^#{{2,{len(level[1])}}} ", rest, flags=re.MULTILINE)[0]


def rows(text):
    """Return the cells of all table rows that begin with a key, by key."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            found.setdefault(cells[0].strip("`"), []).append(cells)
    return found


def nested(cls):
    for item in settings_of(cls, INJECTED):
        for option in options_of(item.hint):
            if is_dataclass(item_of(option)):
                yield item_of(option)


CASES = [
    ("The top", Document, frozenset()),
    ("Multicast", Multicast, frozenset()),
    ("Multicast", Group, frozenset()),
    ("Components", Component, DERIVED),
    ("Report", Report, frozenset()),
    ("The SQL block", Sql, frozenset()),
    ("Keep", Keep, frozenset()),
    ("Conversion", Conversion, frozenset()),
    *((name, registry.find(name), INJECTED) for name in IMPLEMENTED),
    *((name, cls, frozenset()) for name in IMPLEMENTED for cls in nested(registry.find(name))),
]


@pytest.mark.parametrize(("title", "cls", "without"), CASES)
def test_every_key_has_a_line_with_its_default(title, cls, without):
    table = rows(section(title))
    for item in settings_of(cls, without):
        assert item.key in table, f"{item.key} of {cls.__name__} is not in {title}"
        defaults = [cells[-1] for cells in table[item.key]]
        if item.default is MISSING:
            assert "required" in defaults
        elif item.default not in (None, "", (), [], {}) and item.key != "Control":
            assert f"`{json.dumps(item.default)}`" in defaults


def test_no_key_is_there_that_the_code_does_not_know():
    for name in IMPLEMENTED:
        classes = [registry.find(name), *nested(registry.find(name))]
        known = {
            i.key
            for c in classes
            for i in settings_of(c, INJECTED if c is classes[0] else frozenset())
        }
        assert set(rows(section(name))) == known


def test_every_type_and_every_older_name_is_there():
    table = rows(section("Types").split("###")[0])
    assert set(table) == set(registry.TYPES)
    for older, now in registry.OLDER.items():
        assert f"`{older}`" in table[now.type][0][-1]
    for name in registry.TYPES:
        is_later = registry.TYPES[name] is None and name not in registry.NEVER_RUN
        assert table[name][0][1].endswith("; later") == is_later


def test_the_home_directory_is_there():
    assert set(rows(section("The home directory"))) == {
        "config.json",
        "config.trial.json",
        "config/….json",
        "clock",
        "states.json",
        "set-points/…",
        "alerts/…",
        "history.sqlite",
        "….damaged-….sqlite",
        "….repaired-….sqlite",
        "history.sqlite-statistics",
        "journal/…",
        "spool-….sqlite",
        "web.sqlite",
        "before-restore-….jph",
        "web.key",
        "web.push.key",
        "history-progress.json",
    }


def test_the_environment_is_there():
    assert set(rows(section("Environment"))) == {
        "JPH_CONFIG",
        "JPH_SENSOR",
        "JPH_TOKEN_FILE",
        "JPH_HOME",
        "JPH_HOST",
        "JPH_DEBUG",
        "JPH_SILENT",
    }


@pytest.mark.parametrize("block", re.findall(r"```json\n(.*?)```", EXAMPLES, re.DOTALL))
def test_examples_are_in_order(block):
    example = json.loads(block)
    if isinstance(example, list):
        channel = {"Port": 1}
        example = {
            "Multicast": {
                "Control-Channel": {**channel, "Address": "239.1.1.1"},
                "Data-Channel": {**channel, "Address": "239.1.1.2"},
            },
            "Sensors": example,
        }
    assert checks.check(example) == ([], [])


def test_the_mistakes_shown_are_those_that_are_made():
    for words in ("must be > 0", 'unknown Type "Pipee"; did you mean Pipe?'):
        assert words in section("Mistakes and warnings")
