"""When a newer instance is believed, by its signs alone."""

import pytest

from jph.node.claims import SIGNS, WITHIN_S, Claims


def hear(claims, *signs):
    """Take signs: host, time, and whether it is a claim; return what was said of each."""
    return [claims.hear(host, now_s, claims=is_claim) for host, now_s, is_claim in signs]


def test_three_claims_from_one_host_are_believed():
    assert SIGNS == 3
    signs = [("a", 0.0, True), ("a", 1.0, True), ("a", 2.0, True)]
    assert hear(Claims(), *signs) == [False, False, True]


def test_answers_count_beside_a_claim():
    signs = [("a", 0.0, True), ("a", 1.0, False), ("a", 2.0, False)]
    assert hear(Claims(), *signs) == [False, False, True]


def test_answers_alone_are_no_claim():
    claims = Claims()
    assert not any(hear(claims, *(("a", now_s, False) for now_s in range(9))))
    assert not claims.are_open(9.0)


def test_the_claims_of_several_hosts_do_not_add_up():
    signs = [(host, 0.0, True) for host in "abcdabcd"]
    assert not any(hear(Claims(), *signs))


def test_an_instance_with_two_addresses_is_believed_by_one_of_them():
    signs = [("a", 0.0, True), ("b", 0.0, True), ("b", 1.0, False), ("a", 1.0, False)]
    assert hear(Claims(), *signs, ("b", 2.0, False))[-1]


def test_signs_that_are_far_apart_do_not_add_up():
    claims = Claims()
    step_s = WITHIN_S / 1.9
    assert not any(hear(claims, *(("a", number * step_s, True) for number in range(20))))


@pytest.mark.parametrize("later_s, is_open", [(WITHIN_S, True), (WITHIN_S + 0.1, False)])
def test_a_claim_is_open_for_a_while(later_s, is_open):
    claims = Claims()
    claims.hear("a", 100.0, claims=True)
    assert claims.are_open(100.0 + later_s) is is_open


def test_many_hosts_fill_no_memory_and_the_latest_ones_count():
    claims = Claims()
    for number in range(10_000):
        claims.hear(f"10.0.{number // 250}.{number % 250}", 0.0, claims=True)
    assert len(claims._signs) < 100
    assert hear(claims, *[("a", 0.0, True)] * 3)[-1]
