"""Loss, duplicates and restarts, from sequence numbers."""

from hypothesis import given
from hypothesis import strategies as st

from jph.bus.sequence import MAX_GAP, WINDOW, SequenceTracker
from jph.bus.wire import SEQUENCE_MASK

NOW_MS = 1_000


def heard(*sequences: int) -> SequenceTracker:
    source = SequenceTracker("A1", sequences[0], 0)
    for sequence in sequences:
        source.arrive(sequence, NOW_MS)
    return source


def counts(source: SequenceTracker) -> tuple[int, int, int, int]:
    return source.received, source.lost, source.duplicates, source.restarts


def test_numbers_in_order_lose_nothing():
    assert counts(heard(5, 6, 7)) == (3, 0, 0, 0)


def test_a_gap_of_d_is_d_minus_1_lost():
    assert counts(heard(5, 9)) == (2, 3, 0, 0)


def test_a_number_seen_already_is_dropped():
    source = heard(5, 6)
    assert not source.arrive(5, NOW_MS)
    assert counts(source) == (2, 0, 1, 0)


def test_a_late_number_was_not_lost_after_all():
    source = heard(5, 8)
    assert source.arrive(6, NOW_MS)
    assert not source.arrive(6, NOW_MS)
    assert counts(source) == (3, 1, 1, 0)


def test_a_number_from_before_the_first_one_heard_is_no_duplicate():
    source = heard(10)
    assert source.arrive(7, NOW_MS)
    assert counts(source) == (2, 2, 0, 0)
    assert source.arrive(8, NOW_MS)
    assert not source.arrive(8, NOW_MS)
    assert counts(source) == (3, 1, 1, 0)


def test_the_sequence_wraps_to_0():
    assert counts(heard(SEQUENCE_MASK - 1, SEQUENCE_MASK, 0, 1)) == (4, 0, 0, 0)
    assert counts(heard(SEQUENCE_MASK, 2)) == (2, 2, 0, 0)


def test_a_jump_back_beyond_the_window_is_a_restart():
    source = heard(100_000, 5)
    assert counts(source) == (2, 0, 0, 1)
    assert source.reset_ms == NOW_MS
    assert source.arrive(6, NOW_MS)
    assert counts(source) == (3, 0, 0, 1)


def test_a_jump_ahead_that_no_loss_explains_is_a_restart():
    assert counts(heard(5, 5 + MAX_GAP + 2)) == (2, 0, 0, 1)
    assert counts(heard(5, 5 + MAX_GAP)) == (2, MAX_GAP - 1, 0, 0)


def test_a_start_message_is_a_restart_whatever_its_number():
    source = heard(5, 6)
    assert source.start(500, NOW_MS)
    assert source.arrive(501, NOW_MS)
    assert counts(source) == (4, 0, 0, 1)


def test_losses_are_counted_from_the_last_start():
    source = heard(5, 9)
    assert (source.lost, source.reset_ms) == (3, 0)
    assert source.start(500, NOW_MS)
    assert (source.lost, source.lost_before, source.reset_ms) == (0, 3, NOW_MS)
    assert source.arrive(503, NOW_MS + 1)
    assert source.lost == 2
    assert source.start(504, NOW_MS + 2)  # which happens to be the next number
    assert (source.lost, source.lost_before, source.reset_ms) == (0, 5, NOW_MS + 2)
    assert source.arrive(8, NOW_MS + 3)  # its n was lost
    assert (source.lost, source.lost_before, source.reset_ms) == (0, 5, NOW_MS + 3)
    assert source.arrive(7, NOW_MS + 4)  # came late; nothing before it was missed
    assert source.lost == 0


def test_the_first_start_message_is_no_restart():
    source = SequenceTracker("A1", 5, 0)
    assert source.start(5, NOW_MS)
    assert source.arrive(6, NOW_MS)
    assert counts(source) == (2, 0, 0, 0)
    assert not source.start(5, NOW_MS)
    assert counts(source) == (2, 0, 1, 0)


def test_a_start_message_that_comes_late_resets_nothing():
    source = heard(6, 7)
    assert source.start(5, NOW_MS)
    assert source.arrive(8, NOW_MS)
    assert counts(source) == (4, 0, 0, 0)


@given(st.integers(0, SEQUENCE_MASK), st.data())
def test_any_order_within_the_window_loses_and_repeats_nothing(first, data):
    numbers = [(first + step) & SEQUENCE_MASK for step in range(40)]
    shuffled = data.draw(st.permutations(numbers))
    again = data.draw(st.lists(st.sampled_from(numbers), max_size=5))
    source = SequenceTracker("A1", shuffled[0], 0)
    accepted = [number for number in shuffled + again if source.arrive(number, NOW_MS)]
    assert accepted == shuffled
    assert counts(source) == (40, 0, len(again), 0)


@given(st.sets(st.integers(0, 300), min_size=2))
def test_what_was_lost_is_what_never_came(numbers):
    ordered = sorted(numbers)
    source = heard(*ordered)
    assert source.received == len(ordered)
    assert source.lost == ordered[-1] - ordered[0] + 1 - len(ordered)


def test_what_is_remembered_of_losses_is_bounded():
    source = SequenceTracker("A1", 0, 0)
    for step in range(2000):
        source.arrive(3 * step, NOW_MS)
    assert source.lost == 2 * 1999
    assert len(source.missing) <= 3 * WINDOW
