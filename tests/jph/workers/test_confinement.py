"""The filter of system calls for every processor, as an interpreter of our own runs it."""

import errno
import os

import pytest

from jph.workers.confinement import Instruction, filter_of
from jph.workers.system_calls import AARCH64, ARM, NEWEST, X86_64, Machine, machine

ALLOWED, KILLED = "allowed", "killed"


def verdict(program: list[Instruction], audit: int, number: int, *arguments: int) -> str | int:
    """Return what the filter decides: allowed, killed, or the errno."""
    values = [number, audit, 0, 0]
    for argument in [*arguments, *[0] * (6 - len(arguments))]:
        values += [argument & 0xFFFFFFFF, argument >> 32]
    at = accumulator = 0
    while True:
        code, if_true, if_false, constant = program[at]
        at += 1
        if code == 0x20:
            accumulator = values[constant // 4]
        elif code == 0x06:
            kind = constant & 0xFFFF0000
            return {0x7FFF0000: ALLOWED, 0x80000000: KILLED}.get(kind, constant & 0xFFFF)
        else:
            holds = {
                0x15: accumulator == constant,
                0x35: accumulator >= constant,
                0x45: accumulator & constant != 0,
            }[code]
            at += if_true if holds else if_false


@pytest.mark.parametrize("kind", [X86_64, AARCH64, ARM], ids=["x86_64", "aarch64", "arm"])
def test_the_filter(kind: Machine) -> None:
    program = filter_of(kind, pid=77)

    def decided(name: str, *arguments: int) -> str | int:
        return verdict(program, kind.audit, kind.calls[name], *arguments)

    assert len(program) < 4096  # the most that a kernel takes
    assert decided("read") == decided("futex") == decided("exit_group") == ALLOWED
    assert verdict(program, kind.audit ^ 1, kind.calls["read"]) == KILLED
    assert decided("clone", 17) == decided("clone", 0x10F00) == errno.EPERM
    assert decided("tgkill", 77) == ALLOWED
    assert decided("tgkill", 1) == errno.EPERM
    assert decided("openat", 0, 0, os.O_CLOEXEC | os.O_DIRECTORY) == ALLOWED
    for flag in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_TMPFILE | os.O_RDWR):
        assert decided("openat", 0, 0, os.O_CLOEXEC | flag) == errno.EPERM
    assert decided("prlimit64", 0, 9, 0) == ALLOWED
    assert decided("prlimit64", 0, 9, 1 << 40) == decided("prlimit64", 0, 9, 1) == errno.EPERM
    assert decided("fcntl", 0, 1030) == ALLOWED
    assert decided("fcntl", 0, 8, 1) == errno.EPERM
    assert decided("ioctl", 0, 0x5401) == ALLOWED
    assert decided("ioctl", 0, 0x5412) == errno.EPERM  # types into a terminal
    assert verdict(program, kind.audit, NEWEST) == errno.ENOSYS
    assert verdict(program, kind.audit, kind.seccomp) == errno.EPERM


def test_a_32_bit_python_on_a_64_bit_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(name: str, bytes_: int) -> Machine | None:
        uname = os.uname_result(("Linux", "", "6.1", "", name))
        monkeypatch.setattr(os, "uname", lambda: uname)
        monkeypatch.setattr("struct.calcsize", lambda _: bytes_)
        return machine()

    assert of("aarch64", 8) is AARCH64
    assert of("aarch64", 4) is of("armv7l", 4) is of("armv6l", 4) is ARM
    assert of("x86_64", 8) is X86_64
    assert of("x86_64", 4) is of("riscv64", 8) is None
