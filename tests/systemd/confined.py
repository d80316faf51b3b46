"""Run a program behind the system call filter of a unit, as systemd would.

    python confined.py UNIT PROGRAM [ARGUMENT...]

For machines where systemd itself does not run, such as a container. Of the unit's settings it
applies those that can break a Python program: SystemCallFilter, MemoryDenyWriteExecute,
RestrictAddressFamilies, RestrictNamespaces and NoNewPrivileges. The filter is made by libseccomp,
which systemd uses too, and the groups of system calls are those of the systemd that is installed.
"""

import ctypes
import errno
import os
import socket
import subprocess
import sys
from functools import cache

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_MDWE = 65  # Linux 6.3; before that, the filter alone
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EQUAL, _MASKED_EQUAL = 4, 7
_WRITE, _EXECUTE = 2, 4  # PROT_WRITE, PROT_EXEC
_SHM_EXEC = 0o100000
_NEW_NAMESPACES = 0x7E020080  # the CLONE_NEW* of clone(2), with CLONE_NEWTIME


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("mask", ctypes.c_uint64),  # or the value, where it is compared as a whole
        ("value", ctypes.c_uint64),
    )


def settings(unit: str) -> dict[str, list[str]]:
    """Return the settings of a unit: name to values, in their order."""
    found: dict[str, list[str]] = {}
    with open(unit) as file:
        for line in file:
            name, equals, value = line.strip().partition("=")
            if equals and not name.startswith("#"):
                found.setdefault(name, []).append(value)
    return found


@cache
def members(group: str) -> frozenset[str]:
    """Return the names of the system calls of a group such as @system-service."""
    command = ["systemd-analyze", "syscall-filter", group]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found: set[str] = set()
    for word in (line.strip() for line in lines[1:]):
        if word.startswith("@"):
            found |= members(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return frozenset(found)


def allowed(filters: list[str]) -> set[str]:
    """Return the system calls that the lines of SystemCallFilter leave."""
    found = set(members("@default"))
    for line in filters:
        named: set[str] = set()
        for word in line.removeprefix("~").split():
            named |= members(word) if word.startswith("@") else {word}
        found = found - named if line.startswith("~") else found | named
    return found


def confine(unit: dict[str, list[str]]) -> None:
    """Confine this process and what it starts; nothing undoes it."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    filter_ = ctypes.c_void_p(library.seccomp_init(_ERRNO | errno.EPERM))

    def rule(name: str, *comparisons: tuple[int, int, int, int], action: int = _ALLOW) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:  # not of this architecture, or newer than libseccomp
            return
        array = (_Comparison * len(comparisons))(*comparisons)
        refused = library.seccomp_rule_add_array(
            filter_, ctypes.c_uint32(action), number, len(comparisons), array
        )
        if refused:
            raise OSError(-refused, f"seccomp refuses a rule for {name}")

    calls = allowed(unit["SystemCallFilter"])
    if unit["MemoryDenyWriteExecute"] == ["yes"]:
        for protection in (0, _WRITE, _EXECUTE):
            rule("mmap", (2, _MASKED_EQUAL, _WRITE | _EXECUTE, protection))
            rule("mmap2", (2, _MASKED_EQUAL, _WRITE | _EXECUTE, protection))
        rule("mprotect", (2, _MASKED_EQUAL, _EXECUTE, 0))
        rule("pkey_mprotect", (2, _MASKED_EQUAL, _EXECUTE, 0))
        rule("shmat", (2, _MASKED_EQUAL, _SHM_EXEC, 0))
        calls -= {"mmap", "mmap2", "mprotect", "pkey_mprotect", "shmat"}
    for family in unit["RestrictAddressFamilies"][0].split():
        rule("socket", (0, _EQUAL, getattr(socket, family), 0))
    if unit["RestrictNamespaces"] == ["yes"]:
        rule("clone", (0, _MASKED_EQUAL, _NEW_NAMESPACES, 0))
        # Its flags lie in memory, where a filter cannot see them; this error makes libc use clone.
        rule("clone3", action=_ERRNO | errno.ENOSYS)
        calls -= {"clone", "clone3", "unshare", "setns"}
    for name in sorted(calls - {"socket"}):
        rule(name)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    if unit["MemoryDenyWriteExecute"] == ["yes"]:
        libc.prctl(_PR_SET_MDWE, 1, 0, 0, 0)
    refused = library.seccomp_load(filter_)
    if refused:
        raise OSError(-refused, "seccomp refuses the filter")


if __name__ == "__main__":
    confine(settings(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
