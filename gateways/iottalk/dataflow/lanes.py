"""Threads with a runner each, in which graphs have their turns.

All graphs share one lane, turn about. One whose turn takes long, or costs the process, keeps that
lane for itself, and the others go on in a spare one that stands ready with its process started. It
comes back to them when it has been quick for a while. A graph with a function that is new begins in
the spare lane, so that one which loops from the start keeps nobody waiting but other new ones.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from gateways.iottalk.dataflow.runner import Runner, Runners
from gateways.iottalk.dataflow.running import Running
from jph.threads import component_thread

log = logging.getLogger(__name__)

MOST_LANES = 8  # with the shared and the spare one
SLOW_S = 0.05  # a turn that takes longer is slow
# A turn that is seen so often is not waited for. Looks are counted, not time: where the machine has
# no time for us, they come late, too, and nobody is blamed for it.
MOST_LOOKS = 3
BACK_S = 600.0  # a graph is shared again when it has been quick for so long
_TICK_S = 0.02
_STOP_S = 3.0


class Lane:
    """A thread and its runner; see `Lanes`."""

    def __init__(self, runner: Runner, lock: threading.Lock) -> None:
        self.runner = runner
        self.ready: deque[Running] = deque()
        self.woken = threading.Condition(lock)
        self.present: Running | None = None  # whose turn it is
        self.began_s = 0.0  # that turn
        self.looks = 0  # at that turn
        self.slow_s = time.monotonic()  # when a turn was slow last, for a lane of its own
        self.graphs: set[Running] = set()  # whose own lane it is
        self.is_to_start = False
        self.is_closing = False
        self.thread: threading.Thread | None = None


class Lanes:
    """Gives graphs their turns."""

    def __init__(self, runners: Runners) -> None:
        self._runners = runners
        self._lock = threading.Lock()
        self._queued: set[Running] = set()  # in a lane's queue, or at their turn
        self._homes: dict[Running, Lane] = {}  # of graphs that are not shared
        self._own: list[Lane] = []
        self._spare: Lane | None = None
        self._is_closing = False
        self._flowing = threading.Event()
        self._shared = self._open(start=False)
        self._watcher = component_thread("dataflow-watch", self._watch)
        self._watcher.start()

    def start(self) -> None:
        """Start the processes that functions need, ahead of the first value."""
        with self._lock:
            if self._spare is None and not self._is_closing:
                self._spare = self._open(start=True)
                self._shared.is_to_start = True
                self._shared.woken.notify()

    def ready(self, running: Running) -> None:
        """Queue a graph that has values waiting."""
        with self._lock:
            if running in self._queued:
                return
            self._queued.add(running)
            self._queue(running)
        if not self._flowing.is_set():
            self._flowing.set()

    def remove(self, running: Running) -> None:
        """Forget a graph, so that it begins anew if it has a turn again."""
        with self._lock:
            lane = self._homes.pop(running, None)
            if lane is not None:
                lane.graphs.discard(running)
                if not lane.graphs:
                    self._retire(lane)

    def where(self, running: Running) -> str:
        """Tell where a graph has its turns: shared or own."""
        return "own" if running in self._homes else "shared"

    def close(self) -> None:
        """End all lanes and their runners."""
        with self._lock:
            self._is_closing = True
            lanes = [self._shared, *self._own, *([self._spare] if self._spare else [])]
            for lane in lanes:
                lane.is_closing = True
                lane.woken.notify()
        self._flowing.set()
        for lane in lanes:
            lane.runner.stop()
        for lane in lanes:
            if lane.thread is not None:
                lane.thread.join(_STOP_S)
        self._watcher.join(_STOP_S)

    # All of these with the lock held

    def _open(self, *, start: bool) -> Lane:
        lane = Lane(self._runners.new(), self._lock)
        lane.is_to_start = start
        lane.thread = component_thread("dataflow", lambda: self._run(lane))
        lane.thread.start()
        return lane

    def _queue(self, running: Running) -> None:
        general = self._spare if running.is_new and self._spare else self._shared
        lane = self._homes.get(running, general)
        lane.ready.append(running)
        lane.woken.notify()

    def _retire(self, lane: Lane) -> None:
        self._own.remove(lane)
        lane.is_closing = True
        for running in lane.ready:
            self._queue(running)
        lane.ready.clear()
        lane.woken.notify()

    def _set_apart(self, lane: Lane) -> None:
        """Give a lane to the graph whose turn it is; the others go on in the spare one."""
        running = lane.present
        if lane not in (self._shared, self._spare) or running is None or self._is_closing:
            return
        if self._spare is None or len(self._own) + 2 >= MOST_LANES:
            if self._own:  # the lane of another slow one, from its next turn on
                home = min(self._own, key=lambda it: len(it.graphs))
                home.graphs.add(running)
                self._homes[running] = home
            return
        lane.runner.step_back()
        lane.graphs = {running}
        lane.slow_s = time.monotonic()
        self._own.append(lane)
        self._homes[running] = lane
        if lane is self._shared:
            self._shared = self._spare
        self._spare = self._open(start=True)
        waiting = list(lane.ready)
        lane.ready.clear()
        for other in waiting:
            self._queue(other)
        log.info("graph %s is slow or failed; it has a process of its own", running.graph.key)

    # In threads of their own

    def _run(self, lane: Lane) -> None:
        def on_lost() -> None:
            with self._lock:
                lane.slow_s = time.monotonic()
                self._set_apart(lane)

        while True:
            with self._lock:
                while not (lane.ready or lane.is_to_start or lane.is_closing):
                    lane.woken.wait()
                if lane.is_closing:
                    break
                if starts := lane.is_to_start:
                    lane.is_to_start = False
                else:
                    running = lane.present = lane.ready.popleft()
                    lane.began_s, lane.looks = time.monotonic(), 0
            if starts:
                lane.runner.start()
                continue
            self._guarded(lane, running.turn, on_lost)
            with self._lock:
                if time.monotonic() - lane.began_s > SLOW_S:
                    lane.slow_s = time.monotonic()
                lane.present = None
                if running.waiting:
                    self._queue(running)
                else:
                    self._queued.discard(running)
        lane.runner.end()

    @staticmethod
    def _guarded(
        lane: Lane,
        turn: Callable[[Runner, Callable[[], None]], None],
        on_lost: Callable[[], None],
    ) -> None:
        try:
            turn(lane.runner, on_lost)
        except Exception:
            log.exception("a turn of a graph failed; its values are lost, the next ones go on")

    def _watch(self) -> None:
        """Set a graph apart whose turn takes long, while values flow; let it back later."""
        while not self._is_closing:
            self._flowing.wait(BACK_S / 10)
            time.sleep(_TICK_S)
            now_s = time.monotonic()
            with self._lock:
                for lane in filter(None, (self._spare, self._shared)):
                    lane.looks += 1
                    if lane.present is not None and lane.looks > MOST_LOOKS:
                        self._set_apart(lane)
                for own in list(self._own):
                    own.runner.step_back()
                    if own.present is None and now_s - own.slow_s > BACK_S:
                        for running in own.graphs:
                            self._homes.pop(running, None)
                        self._retire(own)
                if not self._queued:
                    self._flowing.clear()
