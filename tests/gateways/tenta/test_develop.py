"""What a person sees who types `jph gateway tenta develop` in a fresh home."""

import json

from tests.tools.program import run_apart


def test_it_brings_a_network_that_can_be_asked_at_once(tmp_path):
    run = run_apart("tests.gateways.tenta.develop", tmp_path, timeout_s=500)
    assert json.loads(run.stdout) == {
        "networks": ["greenhouse", "roof"],
        "others": ["greenhouse/pump", "roof/gauge"],
        "log of the pump": "warning",
    }
