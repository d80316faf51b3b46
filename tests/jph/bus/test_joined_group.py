"""Joining again after the network changed, in a network namespace made for it."""

import json
import re

from tests.tools.program import run_apart


def test_a_node_joins_again_after_every_change_of_its_network():
    run = run_apart("tests.jph.bus.links_scenario", timeout_s=120)
    held = json.loads(run.stdout)
    assert held == {
        "waits for an interface that is not there": True,
        "joins when it comes": "10.76.0.1",
        "hears data then": True,
        "speaks from a new address": True,
        "hears data after the change": True,
        "notices that the interface went": True,
        "joins when it comes again": "10.76.0.1",
        "hears data after that": True,
        "goes on after the link was down": "10.76.0.1",
        "hears data after the link was down": True,
    }
    place = "data channel: {} 239.76.9.2:7802"
    assert place.format("cannot join") in run.stderr
    assert re.search(place.format("joined") + r" .* \(\d+ failures? in \d+ s\)", run.stderr)
