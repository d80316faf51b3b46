import pytest

from web.people.sign_in_links import LINK_LIFETIME_S, Links, Throttle
from web.serving.limits import Busy


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def test_a_link_is_taken_once():
    links = Links()
    token = links.create()
    assert links.is_valid(token)
    assert links.is_valid(token), "looking takes nothing"
    assert links.take(token)
    assert not links.take(token)
    assert not links.is_valid(token)


def test_a_link_expires():
    clock = Clock()
    links = Links(clock)
    token = links.create()
    clock.now_s += LINK_LIFETIME_S + 1
    assert not links.is_valid(token)
    assert not links.take(token)


def test_the_token_itself_is_not_kept():
    links = Links()
    assert links.create() not in repr(vars(links))


def test_an_unknown_token_is_refused():
    assert not Links().take("")


def is_locked(throttle, address, name):
    try:
        throttle.check(address, name)
    except Busy as busy:
        assert busy.code == 429
        assert 0 < busy.retry_after_s <= Throttle.WINDOW_S
        return True
    return False


def test_five_wrong_passwords_lock_a_name_for_one_address():
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(5):
        assert not is_locked(throttle, "10.0.0.1", "anna")
        throttle.failed("10.0.0.1", "anna")
    with pytest.raises(Busy, match=r"wrong passwords for this name from your address: .* 15 min"):
        throttle.check("10.0.0.1", "Anna")
    assert not is_locked(throttle, "10.0.0.2", "anna")
    assert not is_locked(throttle, "10.0.0.1", "ben")
    clock.now_s += Throttle.WINDOW_S + 1
    assert not is_locked(throttle, "10.0.0.1", "anna")


def test_however_many_guess_others_are_not_locked_out():
    throttle = Throttle(Clock())
    for number in range(100):
        throttle.failed("10.0.0.1", f"name {number}")
        throttle.failed(f"10.0.1.{number}", "anna")
    assert not is_locked(throttle, "10.0.0.1", "anna")
    assert not is_locked(throttle, "10.0.0.9", "anna")


def test_a_success_forgets_the_failures_of_the_pair():
    throttle = Throttle(Clock())
    for _ in range(4):
        throttle.failed("10.0.0.1", "anna")
    throttle.succeeded("10.0.0.1", "anna")
    throttle.failed("10.0.0.1", "anna")
    assert not is_locked(throttle, "10.0.0.1", "anna")


def test_the_memory_of_failures_is_bounded():
    throttle = Throttle(Clock())
    throttle.MOST_PAIRS = 100
    for number in range(1000):
        throttle.failed("10.0.0.1", f"name {number}")
    assert len(throttle._failures) <= 100
