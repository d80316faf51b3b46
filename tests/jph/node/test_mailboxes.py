"""Mailboxes and the threads that work on them."""

import threading
import time

import pytest

from jph.node import mailboxes
from jph.node.mailboxes import Pool, Waker
from tests.helpers import eventually


@pytest.fixture
def pool():
    made = Pool("test")
    yield made
    assert made.close(20) == []


def relieved(pool, predicate):
    """Do what a node's loop does until the predicate holds."""

    def step():
        if pool.crowded():
            pool.relieve()
        return predicate()

    return eventually(step)


def test_jobs_of_one_mailbox_are_done_in_order_one_at_a_time(pool):
    mailbox, done, inside = pool.mailbox(), [], []

    def job(number):
        assert not inside
        inside.append(number)
        done.append(inside.pop())

    for number in range(1000):
        mailbox.post(lambda n=number: job(n))
    relieved(pool, lambda: len(done) == 1000)
    assert done == list(range(1000))


def test_a_mailbox_that_blocks_holds_up_no_other(pool):
    release, done = threading.Event(), []
    for _ in range(10):
        pool.mailbox().post(lambda: release.wait(30))
    pool.mailbox().post(lambda: done.append(1))
    relieved(pool, lambda: done)
    release.set()


def test_quick_jobs_need_few_threads(pool, monkeypatch):
    monkeypatch.setattr(mailboxes, "_PATIENCE_S", 5.0)  # a busy machine is no slow job
    done = []
    for _ in range(200):
        pool.mailbox().post(lambda: done.append(threading.current_thread()))
    relieved(pool, lambda: len(done) == 200)
    assert len(set(done)) <= 3


def test_a_mailbox_with_many_jobs_lets_others_in_between(pool):
    busy, other, order = pool.mailbox(), pool.mailbox(), []
    for _ in range(50):
        busy.post(lambda: (time.sleep(0.005), order.append("busy")))
    other.post(lambda: order.append("other"))
    eventually(lambda: len(order) == 51)
    assert order.index("other") < 45


def test_close_names_the_threads_that_are_stuck():
    made, release = Pool("stuck"), threading.Event()
    made.mailbox().post(lambda: release.wait(30))
    eventually(lambda: not made.crowded())
    assert made.close(0.05) == ["stuck-1"]
    release.set()


def test_close_waits_for_what_stands_behind_a_slow_job():
    made, begun, done = Pool("slow"), threading.Event(), []
    slow, other = made.mailbox(), made.mailbox()
    slow.post(lambda: (begun.set(), time.sleep(0.2)))
    assert begun.wait(20)
    slow.post(lambda: (time.sleep(0.1), done.append("second")))
    slow.post(lambda: done.append("third"))
    other.post(lambda: done.append("other"))
    assert made.close(20) == []
    assert sorted(done) == ["other", "second", "third"]


def test_a_waker_wakes_once_however_often_it_is_called():
    waker = Waker()
    for _ in range(100_000):
        waker.wake()
    waker.drain()
    waker.close()


def test_a_waker_that_is_closed_writes_into_no_other_file(tmp_path):
    waker = Waker()
    waker.close()
    with open(tmp_path / "one", "wb"), open(tmp_path / "two", "wb"):
        waker.wake()
    assert [(tmp_path / name).read_bytes() for name in ("one", "two")] == [b"", b""]
