"""Logging as the configuration says it, in a process of its own: it is set up once."""

import json
import subprocess
import sys

PROGRAM = """
import json, logging, sys
from jph.config.model import build
from jph.node.logs import set_up_logging
set_up_logging(build(json.loads(sys.argv[1])))
logging.getLogger("jph.node.node").info("A1 is halted")
logging.getLogger("other").debug("too little")
"""


def said(logging_document, **environment) -> tuple[str, str]:
    """Return what goes to standard output and error under a `Logging` object."""
    channel = {"Port": 7601}
    document = {
        "Multicast": {
            "Control-Channel": {**channel, "Address": "239.1.1.1"},
            "Data-Channel": {**channel, "Address": "239.1.1.2"},
        },
        "Sensors": [],
        "Logging": logging_document,
    }
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(document)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": ".", **environment},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


def test_without_a_document_it_goes_to_standard_error():
    assert said(None) == ("", "INFO jph.node.node: A1 is halted\n")
    assert said(None, JPH_SILENT="1") == ("", "")
    assert said(None, JPH_DEBUG="1")[1].endswith("DEBUG other: too little\n")


def test_formatters_of_existing_configurations_may_name_the_codifier():
    document = {
        "version": 1,
        "disable_existing_loggers": True,
        "formatters": {"short": {"format": "%(name)s (%(codifier)s) %(message)s"}},
        "handlers": {
            "out": {
                "class": "logging.StreamHandler",
                "formatter": "short",
                "stream": "ext://sys.stdout",
            }
        },
        "root": {"handlers": ["out"], "level": "INFO"},
    }
    assert said(document, JPH_SENSOR="A1") == ("jph.node.node (A1) A1 is halted\n", "")
    assert said(document) == ("jph.node.node () A1 is halted\n", "")


def test_a_document_that_cannot_be_applied_is_said_and_stops_nothing():
    document = {"version": 1, "root": {"handlers": []}, "handlers": {"x": {"class": "no.such"}}}
    _, error = said(document)
    assert "ERROR jph.node.logs: Logging in" in error
    assert error.endswith("INFO jph.node.node: A1 is halted\n")
