"""Logging as the configuration says it, in a process of its own: it is set up once."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, logging, sys
from jph.config.model import build
from jph.node.logs import set_up_logging
set_up_logging(build(json.loads(sys.argv[1])))
logging.getLogger(sys.argv[2]).info(sys.argv[3])
logging.getLogger("other").debug("too little")
"""


def said(
    logging_document, by="jph.node.node", say="A1 is halted", **environment
) -> tuple[str, str]:
    """Return what goes to standard output and error under a `Logging` object."""
    channel = {"Port": 7601}
    document = {
        "Multicast": {
            "Control-Channel": {**channel, "Address": "239.1.1.1"},
            "Data-Channel": {**channel, "Address": "239.1.1.2"},
        },
        "Sensors": [{"Codifier": "A1", "Type": "Pipe"}],
        "Logging": logging_document,
    }
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(document), by, say],
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
    assert said(None, by="Pipe") == ("", "INFO Pipe: A1 is halted\n")


def short(**more):
    """Return a document of which both handlers write to standard output, in different forms."""
    formatters = {"short": {"format": "%(name)s (%(codifier)s) %(message)s"}}
    formatters["else"] = {"format": "else: %(message)s"}
    out = {"class": "logging.StreamHandler", "formatter": "short", "stream": "ext://sys.stdout"}
    handlers = {"out": out, "else": {**out, "formatter": "else"}}
    return {"version": 1, "disable_existing_loggers": True, "formatters": formatters,
            "handlers": handlers, **more}  # fmt: skip


def test_formatters_of_existing_configurations_may_name_the_codifier():
    document = short(root={"handlers": ["out"], "level": "INFO"})
    assert said(document, JPH_SENSOR="B1") == ("jph.node.node (A1) A1 is halted\n", "")
    assert said(document, say="stopped", JPH_SENSOR="B1")[0] == "jph.node.node (B1) stopped\n"
    assert said(document, say="a stop: A1") == ("jph.node.node () a stop: A1\n", "")
    assert said(document, say="%s") == ("jph.node.node () %s\n", "")


MONITOR = {"handlers": ["out"], "level": "INFO"}
QUIET = {"handlers": ["else"], "level": "ERROR"}


@pytest.mark.parametrize(
    ("loggers", "by", "expected"),
    [
        ({"jphMonitor": MONITOR}, "Pipe", "jph.Pipe (A1) A1 is halted\n"),
        ({"jphMonitor": MONITOR}, "sensors.fan", "jph.sensors.fan (A1) A1 is halted\n"),
        ({"jphMonitor": MONITOR}, "web.app", "jph.web.app (A1) A1 is halted\n"),
        ({"jphMonitor": MONITOR}, "jph.node.node", "jph.node.node (A1) A1 is halted\n"),
        ({"jphMonitor": MONITOR, "Pipe": QUIET}, "Pipe", ""),
        ({"jphMonitor": QUIET, "Pipe": MONITOR}, "Pipe", "Pipe (A1) A1 is halted\n"),
        ({"jphMonitor": {**MONITOR, "level": "WARNING"}}, "Pipe", ""),
        ({"jphMonitor": MONITOR}, "urllib3", "else: A1 is halted\n"),
        ({"jphMonitor": {**MONITOR, "propagate": True}}, "Pipe",
         "jph.Pipe (A1) A1 is halted\nelse: A1 is halted\n"),
        ({"default": MONITOR}, "Pipe", "else: A1 is halted\n"),
    ],
)  # fmt: skip
def test_what_has_no_logger_of_its_own_goes_where_that_of_existing_networks_goes(
    loggers, by, expected
):
    loggers = {name: {"propagate": False, **each} for name, each in loggers.items()}
    document = short(loggers=loggers, root={"handlers": ["else"], "level": "INFO"})
    assert said(document, by=by) == (expected, "")


def test_a_document_that_cannot_be_applied_is_said_and_stops_nothing():
    document = {"version": 1, "root": {"handlers": []}, "handlers": {"x": {"class": "no.such"}}}
    _, error = said(document)
    assert "ERROR jph.node.logs: Logging in" in error
    assert error.endswith("INFO jph.node.node: A1 is halted\n")
