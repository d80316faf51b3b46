"""A driver of the MCP3424: 18 bit, four inputs, I2C.

Each conversion is started on its own (one-shot mode), so that the inputs of a chip can be read in
any order and by several components. The chip tells by a bit of its configuration byte that the
conversion is done; that byte also shows whether it is the conversion that was asked for.

Source: Microchip DS22088C, sections 4.9 (output codes), 5.2 (configuration register) and
5.3.4 (reading codes and configuration).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jph.errors import SensorError
from sensors.i2c import I2cBus

REFERENCE_V = 2.048  # full scale at gain 1, section 4.3
CONVERSIONS_PER_S = {12: 240.0, 14: 60.0, 16: 15.0, 18: 3.75}  # bits S1-S0 of register 5-1
GAINS = (1, 2, 4, 8)  # bits G1-G0

_NOT_READY = 0x80  # bit 7: written 1, it starts a conversion; read 0, the conversion is done
_EARLIEST = 0.7  # of the nominal conversion time; the chip's clock is not exact
_PATIENCE = 2.0  # nominal conversion times until it is given up, and as well
_GRACE_S = 0.1  # for a loaded machine
_POLLS = 30  # in a nominal conversion time


class OutOfRange(SensorError):
    """The input is beyond the range of this gain."""


@dataclass
class Mcp3424:
    """One chip on a bus.

    Args:
        bus: where it is.
        address: 0x68 to 0x6f.
        clock, sleep: monotonic time and waiting, s.
    """

    bus: I2cBus
    address: int
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def read_v(self, channel: int, bits: int, gain: int) -> float:
        """Return the voltage of an input of the chip; waits for the conversion.

        Args:
            channel: 1 to 4.
            bits: 12, 14, 16 or 18.
            gain: 1, 2, 4 or 8.

        Raises:
            OutOfRange: the voltage is more than 2.048 V / gain.
            SensorError: no bus, no chip at the address, or it is never ready.
        """
        wanted = configuration(channel, bits, gain)
        with self.bus.chip(self.address):
            self.bus.write(self.address, bytes([_NOT_READY | wanted]))
            data = self._result(wanted, bits)
        code = decode(data, bits)
        highest = (1 << (bits - 1)) - 1
        if code in (highest, -highest - 1):  # it locks there, section 4.9
            raise OutOfRange(f"more than {REFERENCE_V / gain:g} V at gain {gain}")
        return code * 2 * REFERENCE_V / (1 << bits) / gain

    def _result(self, wanted: int, bits: int) -> bytes:
        nominal_s = 1 / CONVERSIONS_PER_S[bits]
        until_s = self.clock() + _PATIENCE * nominal_s + _GRACE_S
        self.sleep(_EARLIEST * nominal_s)
        while True:
            is_late = self.clock() > until_s  # before the read: a late reader looks once more
            *data, status = self.bus.read(self.address, 4 if bits == 18 else 3)
            if status & ~_NOT_READY != wanted:
                raise SensorError(
                    f"{self._place()}: is set to {status:#04x} instead of {wanted:#04x}; either it "
                    "is no MCP3424 (a clock chip has this address, too) or another program uses it"
                )
            if not status & _NOT_READY:
                return bytes(data)
            if is_late:
                raise SensorError(f"{self._place()}: a conversion does not end; switch it off once")
            self.sleep(nominal_s / _POLLS)

    def _place(self) -> str:
        return f"{self.bus.device}, address {self.address:#x}"


def configuration(channel: int, bits: int, gain: int) -> int:
    """Return the configuration byte of a one-shot conversion, without the ready bit.

    Bits 6-5 are the channel, 4 is 0 for one-shot, 3-2 the resolution, 1-0 the gain.
    """
    if not 1 <= channel <= 4:
        raise ValueError(f"channel must be 1 to 4, not {channel}")
    return channel - 1 << 5 | list(CONVERSIONS_PER_S).index(bits) << 2 | GAINS.index(gain)


def decode(data: bytes, bits: int) -> int:
    """Return the output code of the data bytes, most significant first, two's complement.

    Bits above the resolution repeat the sign and are not looked at.
    """
    sign = 1 << (bits - 1)
    code = int.from_bytes(data, "big") & (2 * sign - 1)
    return code - 2 * sign if code & sign else code
