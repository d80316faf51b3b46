import pytest

from jph.rate import Rate


def test_the_rate_is_per_minute_since_it_was_last_taken():
    rate = Rate(now_s=100.0)
    rate.add(10)
    rate.add()
    assert rate.take(now_s=130.0) == 22.0
    assert rate.take(now_s=160.0) == 0.0
    rate.add(1)
    assert rate.take(now_s=163.0) == 20.0


def test_a_rate_that_is_taken_at_once_does_not_make_thousands_of_a_few():
    rate = Rate(now_s=100.0)
    rate.add(20)
    assert rate.take(now_s=100.2) == 120.0
    rate.add(1)
    assert rate.take(now_s=101.2) == 60.0


def test_no_time_between_two_questions_is_no_division_by_zero():
    rate = Rate(now_s=100.0)
    assert rate.take(now_s=100.0) == 0.0
    assert rate.per_minute(now_s=100.0) == 0.0


def test_the_last_minute_slides():
    rate = Rate(now_s=0.0)
    for second in range(300):
        rate.add(1 if second < 200 else 5, now_s=second + 0.5)
    assert rate.per_minute(now_s=299.9) == 300.0
    assert rate.per_minute(now_s=330.0) == pytest.approx(150.0, abs=5)
    assert rate.per_minute(now_s=400.0) == 0.0


def test_before_a_minute_is_over_the_rate_is_that_since_the_start():
    rate = Rate(now_s=100.0)
    for _ in range(10):
        rate.add(3, now_s=105.0)
    assert rate.per_minute(now_s=110.0) == 180.0


def test_who_asks_for_the_last_minute_takes_nothing():
    rate = Rate(now_s=100.0)
    rate.add(30, now_s=110.0)
    assert rate.per_minute(now_s=160.0) == 30.0
    assert rate.take(now_s=160.0) == 30.0
    assert rate.per_minute(now_s=160.0) == 30.0
