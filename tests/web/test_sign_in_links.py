from web.sign_in_links import LINK_LIFETIME_S, Links, Throttle


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


def test_five_failures_of_one_name_from_one_address_have_to_wait():
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(5):
        assert throttle.wait_s("10.0.0.1", "anna") == 0
        throttle.failed("10.0.0.1", "anna")
    assert throttle.wait_s("10.0.0.1", "Anna") == Throttle.WINDOW_S
    assert throttle.wait_s("10.0.0.2", "anna") == 0
    assert throttle.wait_s("10.0.0.1", "ben") == 0
    clock.now_s += Throttle.WINDOW_S + 1
    assert throttle.wait_s("10.0.0.1", "anna") == 0


def test_one_address_cannot_try_many_names():
    throttle = Throttle(Clock())
    for number in range(30):
        throttle.failed("10.0.0.1", f"name {number}")
    assert throttle.wait_s("10.0.0.1", "another") > 0
    assert throttle.wait_s("10.0.0.2", "another") == 0


def test_one_name_cannot_be_tried_from_many_addresses():
    throttle = Throttle(Clock())
    for number in range(30):
        throttle.failed(f"10.0.0.{number}", "anna")
    assert throttle.wait_s("10.0.1.1", "anna") > 0


def test_a_success_forgets_the_failures_of_the_pair():
    throttle = Throttle(Clock())
    for _ in range(4):
        throttle.failed("10.0.0.1", "anna")
    throttle.failed("10.0.0.1", "anna")
    throttle.succeeded("10.0.0.1", "anna")
    assert throttle.wait_s("10.0.0.1", "anna") == 0


def test_the_memory_of_failures_is_bounded():
    throttle = Throttle(Clock())
    throttle.MOST_KEYS = 100
    for number in range(1000):
        throttle.failed(f"10.0.{number}", f"name {number}")
    assert len(throttle._failures) <= 100
