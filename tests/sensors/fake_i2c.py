"""An I2C bus with MCP3424 chips on it, at the edge of smbus2, in a time that tests advance."""

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

I2C_M_RD = 1  # flag of a message that reads, linux/i2c.h
SECONDS = {12: 1 / 240, 14: 1 / 60, 16: 1 / 15, 18: 1 / 3.75}


class Clock:
    """A clock that only sleeping advances."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        assert duration_s >= 0
        self.slept.append(duration_s)
        self.now_s += duration_s


@dataclass
class Chip:
    """An MCP3424 in one-shot mode, by its data sheet.

    Args:
        clock: its time.
        volts: at its four inputs.
        slowness: conversion time / nominal conversion time.
    """

    clock: Callable[[], float]
    volts: list[float] = field(default_factory=lambda: [0.0] * 4)
    slowness: float = 1.1
    register: int = 0x90  # after power-on: channel 1, continuous, 12 bit, gain 1
    conversions: int = 0
    interrupted: int = 0  # conversions whose result was never fetched
    _done_s: float | None = None
    _result: int = 0

    def write(self, data: bytes) -> None:
        (self.register,) = data
        assert not self.register & 0x10, "the driver uses one-shot mode only"
        if self.register & 0x80:
            self.interrupted += self._done_s is not None
            self.conversions += 1
            channel, bits, gain = self._setting()
            self._done_s = self.clock() + SECONDS[bits] * self.slowness
            limit = 1 << (bits - 1)
            steps = round(self.volts[channel] * gain / (4.096 / (1 << bits)))
            self._result = max(-limit, min(limit - 1, steps))

    def read(self, count: int) -> bytes:
        is_done = self._done_s is not None and self.clock() >= self._done_s
        if is_done:
            self._done_s = None
        status = (self.register & 0x7F) | (0 if is_done else 0x80)
        size = 3 if self._setting()[1] == 18 else 2
        answer = (self._result if is_done else 0).to_bytes(size, "big", signed=True)
        return (answer + bytes([status]) * count)[:count]

    def _setting(self) -> tuple[int, int, int]:
        rate, gain = self.register >> 2 & 3, 1 << (self.register & 3)
        return self.register >> 5 & 3, 12 + 2 * rate, gain


class FakeBus:
    """What `smbus2.SMBus` is to the driver.

    Args:
        chips: address to chip; who is not in it does not answer.
    """

    def __init__(self, chips: dict[int, Chip]) -> None:
        self.chips = chips
        self.error: OSError | None = None  # of the next openings and transactions
        self.opened: list[int] = []
        self.is_open = False
        self._one = threading.Lock()

    def open(self, number: int) -> "FakeBus":
        if self.error is not None:
            raise self.error
        assert not self.is_open
        self.opened.append(number)
        self.is_open = True
        return self

    def close(self) -> None:
        assert self.is_open
        self.is_open = False

    def i2c_rdwr(self, *messages) -> None:
        assert self._one.acquire(blocking=False), "two transactions at once"
        try:
            assert self.is_open
            for message in messages:
                self._transact(message)
        finally:
            self._one.release()

    def _transact(self, message) -> None:
        if self.error is not None:
            raise self.error
        chip = self.chips.get(message.addr)
        if chip is None:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        if message.flags & I2C_M_RD:
            for place, byte in enumerate(chip.read(message.len)):
                message.buf[place] = byte
        else:
            chip.write(bytes(message))
