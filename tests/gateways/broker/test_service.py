"""What is said about the mosquitto that is a service of this machine."""

import pytest

from gateways import address
from gateways.address import address_of
from gateways.broker.service import drops
from tests.helpers import logged
from tests.network import config_of


@pytest.fixture
def etc(tmp_path):
    """Return the folder of a mosquitto that runs with the configuration of Debian."""
    (tmp_path / "pid").write_text("1")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "mosquitto.conf").write_text(
        f"# of Debian\n\npid_file {tmp_path}/pid\ninclude_dir {tmp_path}/conf.d\n"
    )
    return tmp_path


def said(etc, host="127.0.0.1", port=1883):
    return drops(host, port, etc / "mosquitto.conf")


def test_its_default_is_said_with_what_to_write_where(etc):
    assert all(part in said(etc) for part in ("1000", "max_queued_messages 0", "conf.d/jph.conf"))
    assert said(etc, "localhost") and said(etc, "::1")


@pytest.mark.parametrize("line, is_said", [("0", False), ("5000", True)])
def test_its_setting_counts(etc, line, is_said):
    (etc / "conf.d" / "jph.conf").write_text(f"max_queued_messages {line}\n")
    assert bool(said(etc)) == is_said
    assert not is_said or "5000" in said(etc)


def test_another_broker_is_none_of_its_business(etc):
    assert not said(etc, "192.0.2.1")
    assert not said(etc, port=1884)
    (etc / "conf.d" / "own.conf").write_text("listener 1884 127.0.0.1\n")
    assert not said(etc)
    assert said(etc, port=1884)
    (etc / "pid").unlink()  # it is installed, and does not run
    assert not said(etc, port=1884)


def test_nothing_is_said_without_it(tmp_path):
    assert not said(tmp_path)


def test_a_gateway_that_uses_it_logs_it(etc, monkeypatch, caplog):
    monkeypatch.setattr(address.service, "drops", lambda host, port: said(etc, host, port))
    address_of("mqtt://127.0.0.1", None, config_of(), etc)
    assert logged(caplog, "max_queued_messages 0") == 1
