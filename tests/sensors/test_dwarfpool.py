"""Hash rates from a local server that answers as the pool does."""

import json
import re
from copy import deepcopy

import pytest

from jph import SensorError, registry
from jph.settings import arguments
from sensors.dwarfpool import Dwarfpool
from tests.helpers import free_tcp_port, logged, naming
from tests.http_server import endless, says, trickles

# The shape of an answer, with two workers, one of which never submitted anything.
ACCOUNT = {
    "autopayout_from": "1.000",
    "earning_24_hours": "0.00740152",
    "error": False,
    "immature_earning": 0.00104286,
    "last_payment_amount": 0,
    "last_payment_date": None,
    "last_share_date": "Fri, 01 Sep 2017 12:00:07 GMT",
    "payout_daily": False,
    "payout_request": False,
    "total_hashrate": 161.5,
    "total_hashrate_calculated": 155.25,
    "transferring_to_balance": 0,
    "wallet": "0x0000000000000000000000000000000000000000",
    "wallet_balance": "0.34851101",
    "workers": {
        "AQUA": {
            "alive": True,
            "hashrate": 84.5,
            "hashrate_below_threshold": False,
            "hashrate_calculated": 80.25,
            "last_submit": "Fri, 01 Sep 2017 12:00:00 GMT",
            "second_since_submit": 33,
            "worker": "AQUA",
        },
        "MAD": {
            "alive": True,
            "hashrate": 77,
            "hashrate_below_threshold": False,
            "hashrate_calculated": 75.0,
            "last_submit": "Fri, 01 Sep 2017 12:00:07 GMT",
            "second_since_submit": 26,
            "worker": "MAD",
        },
        "NEW": {
            "alive": False,
            "hashrate": 0,
            "hashrate_calculated": 0,
            "last_submit": None,
            "worker": "NEW",
        },
    },
}
PATH = "/eth/api?wallet=0x00&email=someone@example.org"


def tell(server, account) -> None:
    server.answers[PATH] = says(json.dumps(account).encode(), content_type="application/json")


def changed(worker: str = "AQUA", **values) -> dict:
    account = deepcopy(ACCOUNT)
    account["workers"][worker].update(values)
    return account


def reader(server, **settings) -> Dwarfpool:
    given = {"URL": server.url + PATH, "Proxy": [{"Codifier": "M2"}], **settings}
    cls = registry.find("DwarfpoolReader")
    assert cls is Dwarfpool
    return cls(codifier="M1", **arguments(cls, given, "Sensors[0].Sensor"))


def failure(sensor) -> str:
    with pytest.raises(SensorError) as caught:
        sensor.read()
    said = str(caught.value)
    assert "wallet" not in said and "example.org" not in said
    return said.partition("/eth/api: ")[2]


@pytest.mark.parametrize("key", ["Server", "Field"])
def test_the_rate_of_a_worker_and_the_calculated_one_for_each_proxy(server, key):
    tell(server, ACCOUNT)
    proxies = [{"Codifier": "M2"}, {"Codifier": "M3", "Field": "MAD"}]
    sensor = reader(server, **{key: "AQUA"}, Proxy=proxies)
    assert sensor.read() == {"M1": 84.5, "M2": 80.25, "M3": 75.0}


def test_without_a_worker_the_rates_of_the_account(server):
    tell(server, ACCOUNT)
    sensor = reader(server)
    assert sensor.read() == {"M1": 161.5, "M2": 155.25}
    assert sensor.read() == {}
    tell(server, changed(last_submit="Fri, 01 Sep 2017 12:00:06 GMT"))  # the other was later
    assert sensor.read() == {}
    tell(server, changed(last_submit="Fri, 01 Sep 2017 12:00:08 GMT"))
    assert sensor.read() == {"M1": 161.5, "M2": 155.25}


def test_there_is_no_reading_until_work_is_submitted(server):
    tell(server, ACCOUNT)
    sensor = reader(server, Server="AQUA")
    assert sensor.read() == {"M1": 84.5, "M2": 80.25}
    tell(server, changed(hashrate=85.0, second_since_submit=40))
    assert sensor.read() == {}
    tell(server, changed(last_submit="Fri, 01 Sep 2017 11:59:59 GMT"))
    assert sensor.read() == {}
    tell(server, changed(last_submit="Sat, 02 Sep 2017 00:00:00 GMT", hashrate=86))
    assert sensor.read() == {"M1": 86, "M2": 80.25}
    assert sensor.read() == {}


def test_a_rate_that_is_missing_leaves_the_other(server, caplog):
    tell(server, changed(hashrate_calculated=None))
    assert reader(server, Server="AQUA").read() == {"M1": 84.5}
    assert logged(caplog, "M1", "M2", "hashrate_calculated") == len(caplog.records) == 1


@pytest.mark.parametrize(
    ("account", "facts"),
    [
        ({"error": True, "error_code": "API_DOWN"}, ["pool", "API_DOWN"]),
        ({"error": "\x1b[2J" + "x" * 999}, ["pool"]),
        ([], ["object"]),
        ({"error": False}, ["workers"]),
        ({"workers": []}, ["workers"]),
        ({"workers": {"MAD": {}}}, ["AQUA", "MAD"]),
        ({"workers": {"AQUA": 5}}, ["AQUA"]),
        (changed(last_submit=None), ["last_submit"]),
        (changed(last_submit="yesterday"), ["last_submit"]),
        (changed(last_submit=[]), ["last_submit"]),
        (changed(last_submit="Fri, 01 Sep 99999 12:00:00 GMT"), ["last_submit"]),
        (
            changed(hashrate="84.5", hashrate_calculated=None),
            ["hashrate ", "hashrate_calculated"],
        ),
        (
            changed(hashrate=float("nan"), hashrate_calculated={}),
            ["hashrate ", "hashrate_calculated"],
        ),
        (
            changed(hashrate=10**400, hashrate_calculated=True),
            ["hashrate ", "hashrate_calculated"],
        ),
    ],
)
def test_another_answer_is_one_line(server, account, facts):
    tell(server, account)
    sensor = reader(server, Server="AQUA", Proxy=[{"Codifier": "M2"}])
    assert re.search(naming(*facts), failure(sensor))
    tell(server, ACCOUNT)
    assert sensor.read() == {"M1": 84.5, "M2": 80.25}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (says(b"{"), "JSON"),
        (says(b"\x80\xff"), "no JSON"),
        (says(b"<html>", 502), "502 Bad Gateway"),
        (says(b'{"workers": {}}', length=99), "84 bytes"),
        (endless(b"HTTP/1.1 200 OK\r\n\r\n"), "1048576 bytes"),
    ],
)
def test_a_bad_answer_is_one_line(server, answer, reason):
    server.answers[PATH] = answer
    assert reason in failure(reader(server))


def test_a_slow_answer_ends_with_the_timeout(server):
    server.answers[PATH] = trickles(b"HTTP/1.1 200 OK\r\n\r\n")
    assert "0.3 s" in failure(reader(server, Timeout=0.3))


def test_nobody_there_is_one_line(server):
    url = f"http://127.0.0.1:{free_tcp_port()}{PATH}"
    assert "Connection refused" in failure(reader(server, URL=url))


def test_another_address_is_a_mistake(server):
    with pytest.raises(ValueError, match="URL: must begin with"):
        reader(server, URL="dwarfpool.com")
