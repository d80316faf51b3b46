from jph.backoff import Backoff


def pauses(backoff, n):
    return [backoff.next_s() for _ in range(n)]


def test_pauses_double_up_to_their_limit_and_are_spread():
    tries = [pauses(Backoff(1.0, 10.0), 6) for _ in range(200)]
    for pause_s, spread in zip([1, 2, 4, 8, 10, 10], zip(*tries, strict=True), strict=True):
        assert all(0.75 * pause_s <= s <= pause_s for s in spread)
        assert len(set(spread)) > 1


def test_after_a_success_they_begin_anew():
    backoff = Backoff(1.0, 60.0)
    pauses(backoff, 5)
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_no_pause_is_longer_than_the_longest():
    assert Backoff(5.0, 2.0).next_s() <= 2.0
