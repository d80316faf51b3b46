"""How many commands of a sender pass, by its allowances alone."""

import logging

import pytest

from jph.bus.wire import Control
from jph.node.throttle import Throttle
from tests.helpers import logged

HOME = ("192.0.2.7", 5000)
CODIFIERS = [chr(a) + chr(b) for a in range(0x41, 0x61) for b in range(0x41, 0x61)][:1000]


def command(flag, to="@@", number=0.0):
    return Control(1, 0, flag, "ZZ", to, number, True)


def passed(throttle, messages, *, now_s=100.0, step_s=0.0, address=HOME):
    """Return how many of these messages pass, one each `step_s`."""
    return sum(
        throttle.passes(message, address, now_s + number * step_s)
        for number, message in enumerate(messages)
    )


def test_one_reload_in_five_seconds_is_obeyed_and_the_latest_one_after_them():
    throttle = Throttle()
    assert passed(throttle, [command("C", number=float(n)) for n in range(1000)]) == 1
    assert throttle.due(104.9) == []
    [(message, address)] = throttle.due(105.0)
    assert (message.number, address) == (999.0, HOME)
    assert throttle.due(110.0) == []
    assert throttle.passes(command("C"), HOME, 110.0)


def test_a_flood_of_reloads_is_one_in_five_seconds_for_as_long_as_it_lasts():
    throttle, obeyed = Throttle(), 0
    for tick in range(60 * 20):
        now_s = 100.0 + tick / 20
        obeyed += throttle.passes(command("C"), HOME, now_s) + len(throttle.due(now_s))
    assert obeyed == 12


@pytest.mark.parametrize("flags", ["H", "S", "HS"])
def test_a_flood_of_halts_and_starts_is_obeyed_now_and_then_and_the_last_one_counts(flags):
    throttle, obeyed = Throttle(), []
    for tick in range(60 * 100):
        now_s = 100.0 + tick / 100
        message = command(flags[tick % len(flags)], "LA")
        obeyed += [message] * throttle.passes(message, HOME, now_s)
        obeyed += [kept for kept, _ in throttle.due(now_s)]
    assert 30 <= len(obeyed) <= 50
    [(last, _)] = throttle.due(200.0)
    assert last.flag == flags[-1]


@pytest.mark.parametrize("flag", "HSCPAE")
def test_a_person_who_reaches_a_thousand_components_at_once_is_not_limited(flag):
    assert passed(Throttle(), [command(flag, codifier) for codifier in CODIFIERS]) == 1000


@pytest.mark.parametrize("flag, times", [("H", 10), ("A", 50), ("E", 50), ("P", 50)])
def test_a_person_who_repeats_a_command_is_not_limited(flag, times):
    assert passed(Throttle(), [command(flag, "LA")] * times) == times


def test_a_control_loop_may_set_and_ping_ten_times_a_second_for_ever():
    for flag in "AEP":
        messages = [command(flag, "LA")] * 2000
        assert passed(Throttle(), messages, step_s=0.1) == 2000


def sign(flag, source, to="@@", is_active=True):
    return Control(1, 0, flag, source, to, 0.0, is_active)


@pytest.mark.parametrize("flag", "NIT")
def test_a_thousand_components_of_one_machine_may_give_signs_of_life_at_once(flag):
    signs = [sign(flag, codifier, "ZZ") for codifier in CODIFIERS]
    throttle = Throttle()
    for now_s in (100.0, 101.0, 102.0):
        assert passed(throttle, signs, now_s=now_s) == 1000


def test_a_component_may_answer_many_who_ping_it():
    assert passed(Throttle(), [sign("T", "LA", asks) for asks in CODIFIERS] * 5) == 5000


def test_the_last_of_too_many_signs_of_life_is_taken_in_the_end():
    throttle = Throttle()
    signs = [sign("I", "LA", is_active=n < 19_999) for n in range(20_000)]
    assert passed(throttle, signs, step_s=1e-5) < 60
    [(message, _)] = throttle.due(101.0)
    assert message.is_active is False


def test_the_latest_of_the_values_beyond_the_allowance_is_set_and_no_step_comes_late():
    throttle = Throttle()
    passed(throttle, [command("A", "FA", float(n)) for n in range(80)])
    passed(throttle, [command("E", "FA", 1.0)] * 80)
    kept = throttle.due(101.0)
    assert [(message.flag, message.number) for message, _ in kept] == [("A", 79.0)]


def test_one_sender_does_not_use_up_the_allowance_of_another():
    throttle = Throttle()
    assert passed(throttle, [command("C")] * 100) == 1
    assert passed(throttle, [command("C")], address=("192.0.2.8", 5000)) == 1
    assert passed(throttle, [command("C")], address=("192.0.2.7", 5001)) == 0  # a port is no sender


def test_forged_senders_and_destinations_share_what_is_left():
    throttle = Throttle()
    addresses = [(f"10.{n // 62500}.{n // 250 % 250}.{n % 250}", 9) for n in range(20_000)]
    through = sum(throttle.passes(command("C"), address, 100.0) for address in addresses)
    assert through <= 65
    assert len(throttle._hosts) <= 64
    throttle = Throttle()
    destinations = [chr(a) + chr(b) for a in range(0x21, 0x7F) for b in range(0x21, 0x7F)]
    assert passed(throttle, [command("H", to) for to in destinations * 2]) <= 12_300
    assert len(throttle._whole_s) <= 4097


def test_a_crowd_that_left_makes_room_for_others():
    throttle = Throttle()
    for number in range(64):
        throttle.passes(command("C"), (f"10.0.0.{number}", 9), 100.0)
    assert throttle.passes(command("C"), ("10.0.1.1", 9), 100.0)
    assert not throttle.passes(command("C"), ("10.0.1.2", 9), 100.5)  # the same share
    for number in (3, 4):
        assert throttle.passes(command("C"), (f"10.0.1.{number}", 9), 170.0)


def test_a_person_who_repeats_a_reload_is_no_flood(caplog):
    throttle = Throttle()
    with caplog.at_level(logging.INFO):
        passed(throttle, [command("C")] * 5)
        for now_s in range(100, 130):
            throttle.due(float(now_s))
    assert caplog.records == []
    assert throttle.due_s == float("inf")


def test_a_flood_is_logged_once_with_its_sender_and_its_end_with_its_count(caplog):
    throttle = Throttle()
    with caplog.at_level(logging.INFO):
        passed(throttle, [command("C")] * 20_000, step_s=1e-4)
        for now_s in range(103, 112):
            throttle.due(float(now_s))
        assert logged(caplog, "192.0.2.7", "of C", "to @@", level=logging.WARNING) == 1
        assert len(caplog.records) == 1
        throttle.due(112.5)
    assert len(caplog.records) == 2
    assert logged(caplog, "192.0.2.7", "19999 excess messages") == 1
