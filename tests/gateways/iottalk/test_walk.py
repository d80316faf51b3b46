"""The walk of IoTtalk's description, as it is printed there."""

import json
import math

import pytest

from jph.workers import confinement
from tests.tools.program import run_apart


@pytest.mark.slow
def test_the_cat_of_the_description_meows_squared(tmp_path):
    assert confinement.why_not() == ""
    walked = run_apart("tests.gateways.iottalk.walk", tmp_path, timeout_s=600)
    values = json.loads(walked.stdout)
    assert len(values) == 20
    for value in values:
        assert isinstance(value, list) and len(value) == 1
        assert math.isqrt(value[0]) ** 2 == value[0] < 100**2
