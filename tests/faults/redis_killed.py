"""Fault 5: Redis is killed with SIGKILL under load, and comes back empty.

    python -m tests.faults.redis_killed [--kills 10] [--rate 5000]

100 Codifiers speak all the time, one has spoken once. The state is complete when all of them are
there again, and those that speak with a value from after the return.
"""

import argparse
import contextlib
import json
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.faults.rig import CODIFIERS, FLOAT, Load, value_of
from tests.helpers import bare_receiver, bare_sender, eventually, new_bus
from tests.servers import RedisServer, running_redis
from tests.tools.program import JPH, environment

SILENT = "QQ"
COMPLETE_S = 5.0
AWAY_S = 6.0  # longest absence


@dataclass
class Verdict:
    """What became of the states.

    Args:
        complete_s: after each kill, time from the return to the complete state.
        lost: messages that the state cache did not hear, by its own count.
        wrong: Codifiers whose state is not that of their last message in the end.
    """

    messages: int = 0
    complete_s: list[float] = field(default_factory=list)
    lost: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Tell whether the state was complete in time each time, and is right in the end."""
        in_time = bool(self.complete_s) and max(self.complete_s) <= COMPLETE_S
        return in_time and not self.lost and not self.wrong

    def __str__(self) -> str:
        times = ", ".join(f"{seconds:.2f}" for seconds in self.complete_s)
        return (
            f"{self.messages:,} messages, {self.lost} lost, {len(self.wrong)} wrong in the end; "
            f"{len(self.complete_s)} kills, complete again after {times} s"
        )


def is_complete(client: redis.Redis, since_ms: int) -> bool:
    """Tell whether every state is there, and none that goes on is older than this."""
    pipeline = client.pipeline(transaction=False)
    for codifier in CODIFIERS:
        pipeline.hget(codifier, "DTimestamp")
    pipeline.exists(SILENT)
    try:
        *times, is_silent_there = pipeline.execute()
    except redis.ConnectionError:
        return False
    return bool(is_silent_there) and all(time and int(time) >= since_ms for time in times)


def kill(server: RedisServer, kills: int, rate: int) -> Verdict:
    """Kill the server under load, again and again; return what became of the states."""
    bus, verdict = new_bus(), Verdict()
    with tempfile.TemporaryDirectory(prefix="jph-faults-") as name:
        config = Path(name) / "config.json"
        sensor = {"URL": server.url}
        entry = {"Codifier": "SC", "Type": "StateCache", "SensorInterval": 1, "Sensor": sensor}
        config.write_text(json.dumps(bus.document(entry)))
        with bare_receiver(bus.control, timeout_s=20) as control:
            command = [*JPH, "run", "SC", "-u", str(config)]
            cache = subprocess.Popen(command, env=environment(Path(name)), cwd=name)
            try:
                while control.recv(2048)[16:19] != b"NSC":
                    pass
                with bare_sender() as sender:
                    once = FLOAT.pack(1, 1000, b"f", SILENT.encode(), b"@@", 4, 1.0)
                    sender.sendto(once, bus.data)
                with Load(bus, rate) as load, server.client() as client:
                    eventually(lambda: is_complete(client, 0))
                    for _ in range(kills):
                        server.kill()
                        time.sleep(random.random() * AWAY_S)
                        verdict.complete_s.append(returned(server, client))
                        time.sleep(random.random())
                    load.stop()
                    judge(verdict, client, load)
            finally:
                cache.send_signal(signal.SIGTERM)
                cache.wait(30)
    return verdict


def returned(server: RedisServer, client: redis.Redis) -> float:
    """Start the server; return how long it took until the state was complete."""
    server.start()
    since_ms, began_s = time.time_ns() // 1_000_000, time.monotonic()
    eventually(lambda: is_complete(client, since_ms), 4 * COMPLETE_S)
    return time.monotonic() - began_s


def judge(verdict: Verdict, client: redis.Redis, load: Load) -> None:
    """Compare what is in Redis with what was sent last."""
    verdict.messages = len(load.sent)
    last = {codifier: (time_ms, sequence) for codifier, time_ms, sequence in load.sent}

    def is_right(codifier: str) -> bool:
        state = client.hgetall(codifier)
        time_ms, sequence = last[codifier]
        (value,) = struct.unpack("<f", struct.pack("<f", value_of(codifier, sequence)))
        return (state.get("Value"), state.get("DTimestamp")) == (repr(value), str(time_ms))

    with contextlib.suppress(AssertionError):  # the verdict tells what is wrong
        eventually(lambda: all(map(is_right, CODIFIERS)))
    verdict.wrong = [codifier for codifier in CODIFIERS if not is_right(codifier)]
    verdict.lost = sum(int(client.hget(it, "DPacketsLost") or 0) for it in CODIFIERS)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="A Redis killed under load.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rate", type=int, default=5000)
    arguments = parser.parse_args()
    with running_redis() as server:
        verdict = kill(server, arguments.kills, arguments.rate)
    print(verdict)
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
