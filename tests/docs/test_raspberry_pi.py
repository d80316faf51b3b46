"""The guide for a Raspberry Pi names what is there."""

import json
import re

import pytest

from jph import SensorError, registry
from jph.config import checks
from sensors.i2c import I2cBus
from tests.tools.program import TOP

PAGE = (TOP / "docs" / "raspberry-pi.md").read_text()


def test_its_configuration_is_in_order():
    [example] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert checks.check(json.loads(example)) == ([], [])


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


@pytest.mark.parametrize("error", [FileNotFoundError(), PermissionError()])
def test_what_it_quotes_of_the_i2c_bus_is_what_is_said(error):
    def fail(number):
        raise error

    with pytest.raises(SensorError) as caught:
        I2cBus(1, fail).write(0x68, b"\0")
    device, said = str(caught.value).partition(";")[0].split(": ")
    assert f"| `{device}`: {said} |" in PAGE
