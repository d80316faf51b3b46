"""The guide for a Raspberry Pi names what is there."""

import json
import re

from jph import registry, schema
from tests.tools.program import TOP

PAGE = (TOP / "docs" / "raspberry-pi.md").read_text()


def test_its_configuration_is_in_order():
    [example] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert schema.check(json.loads(example)) == ([], [])


def test_its_extras_are_those_of_the_package():
    known = re.findall(r"^(\w+) = \[", (TOP / "pyproject.toml").read_text(), re.MULTILINE)
    for extras in re.findall(r"\[([a-z0-9,]+)\]", PAGE):
        assert set(extras.split(",")) <= set(known)
    for name in re.findall(r"jph\[(\w+)\]", str(registry.EXTRAS)):
        assert f"`{name}`" in PAGE


def test_its_files_are_there():
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (TOP / "docs" / target).exists()
    for unit in re.findall(r"share/jph/systemd/([\w.-]+\w)", PAGE):
        assert unit == "jph" or (TOP / "systemd" / unit).exists()
    for place in ("/opt/jph/bin/jph", "/etc/jph/config.json", "/etc/jph/jph.env"):
        assert place in PAGE
        assert place in (TOP / "systemd" / "jph.service").read_text()
