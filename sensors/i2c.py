"""An I2C bus of this machine, shared by all components of the process that name it."""

import errno
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from jph import registry
from jph.errors import SensorError
from sensors.shared import Shared

if TYPE_CHECKING:
    from smbus2 import i2c_msg

# The errors of the kernel's adapters when no chip acknowledges an address.
_NOBODY = frozenset({errno.EREMOTEIO, errno.ENXIO, errno.EIO})


class Handle(Protocol):
    """What we use of `smbus2.SMBus`; tests offer a bus of their own."""

    def i2c_rdwr(self, *i2c_msgs: "i2c_msg") -> None:
        """Do one transaction; OSError if it fails."""

    def close(self) -> None:
        """Close the device."""


Opener = Callable[[int], Handle]


def open_bus(number: int) -> Handle:
    """Open /dev/i2c-<number>; OSError if that fails."""
    from smbus2 import SMBus

    return SMBus(number)


class I2cBus:
    """One bus. It is opened when it is first used, and again after any error.

    Transactions of several threads do not mix; `chip` gives the lock for what takes several.
    """

    def __init__(self, number: int, opener: Opener = open_bus) -> None:
        self.device = f"/dev/i2c-{number}"
        self._number = number
        self._opener = opener
        self._handle: Handle | None = None
        self._lock = threading.Lock()
        self._chips: dict[int, threading.Lock] = {}

    def chip(self, address: int) -> threading.Lock:
        """Return the lock of the chip at an address."""
        with self._lock:
            return self._chips.setdefault(address, threading.Lock())

    def write(self, address: int, data: bytes) -> None:
        """Write to the chip at an address; SensorError if that fails."""
        with self._lock:
            handle = self._opened()
            from smbus2 import i2c_msg

            self._transact(handle, address, i2c_msg.write(address, data))

    def read(self, address: int, count: int) -> bytes:
        """Return bytes that the chip at an address sends; SensorError if that fails."""
        with self._lock:
            handle = self._opened()
            from smbus2 import i2c_msg

            message = i2c_msg.read(address, count)
            self._transact(handle, address, message)
            return bytes(message)

    def close(self) -> None:
        """Close the device; the next transaction opens it again."""
        with self._lock:
            self._close()

    def _opened(self) -> Handle:
        if self._handle is None:
            try:
                self._handle = self._opener(self._number)
            except FileNotFoundError as error:
                raise SensorError(
                    f"{self.device}: is not there; enable I2C with raspi-config"
                ) from error
            except PermissionError as error:
                raise SensorError(
                    f"{self.device}: permission denied; add the user to the group i2c"
                ) from error
            except OSError as error:
                raise SensorError(f"{self.device}: {error.strerror or error}") from error
            except ImportError as error:
                needed = registry.EXTRAS["ADCPi"]
                raise SensorError(f"{error}: pip install '{needed}'") from error
        return self._handle

    def _transact(self, handle: Handle, address: int, message: "i2c_msg") -> None:
        try:
            handle.i2c_rdwr(message)
        except OSError as error:
            self._close()
            place = f"{self.device}, address {address:#x}"
            if error.errno in _NOBODY:
                raise SensorError(
                    f"{place}: no chip answers; check that the board is plugged in and which "
                    f"address its jumpers set (i2cdetect -y {self._number})"
                ) from error
            raise SensorError(f"{place}: {error.strerror or error}; check the wiring") from error

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):  # the device may be gone
                handle.close()


# Number and opener -> the bus, for all components of this process.
BUSES: Shared[tuple[int, Opener], I2cBus] = Shared(lambda key: I2cBus(*key))
