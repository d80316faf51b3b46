"""Floods of the control channel in short; the program beside this one measures them in full."""

import pytest

from tests.faults.commands import Target, floods

COMPONENTS = 5
MOST_LOG_BYTES_S = 30_000  # what a flood once wrote; now it is a few lines


@pytest.mark.slow
def test_all_components_answer_after_floods_and_the_log_stays_small(tmp_path):
    target = Target(tmp_path, COMPONENTS)
    try:
        for name, message in floods(target.codifiers).items():
            cost = target.flood(message, 1.0)
            assert cost.alive, name
            assert cost.answer == len(target.codifiers), name
            assert cost.log_bytes_s < MOST_LOG_BYTES_S, name
    finally:
        target.close()
