from collectors.rate import PerMinute


def test_the_rate_is_per_minute_since_it_was_last_asked_for():
    rate = PerMinute(now_s=100.0)
    rate.count(10)
    rate.count()
    assert rate.take(now_s=130.0) == 22.0
    assert rate.take(now_s=160.0) == 0.0
    rate.count(1)
    assert rate.take(now_s=163.0) == 20.0


def test_no_time_between_two_questions_is_no_division_by_zero():
    rate = PerMinute(now_s=100.0)
    assert rate.take(now_s=100.0) == 0.0
