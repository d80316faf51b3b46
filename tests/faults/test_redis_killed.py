"""Fault 5, shortened; `python -m tests.faults.redis_killed` runs it in full."""

from tests.faults.redis_killed import kill
from tests.servers import running_redis


def test_the_state_is_complete_soon_after_each_return_of_redis():
    with running_redis() as server:
        verdict = kill(server, kills=3, rate=2000)
    assert verdict.messages
    assert (verdict.lost, verdict.wrong) == (0, []), str(verdict)
