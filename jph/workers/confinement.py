"""Locks a process in: no network, no files but Python's own, no processes, no signals to others.

Foreign code runs in it, so the kernel has to hold it: Landlock takes the files away, a seccomp
filter all system calls but those that Python needs to compute. Neither needs rights or a package,
neither can be undone. What is not held: functions that share a process are not safe from each
other, and whether a file exists, and how large it is, may be asked. See landlock(7), seccomp(2).
Only the standard library is imported, since this runs in workers that have nothing else.
"""

import ctypes
import errno
import os
import resource
from collections.abc import Callable, Iterable, Sequence

from jph.workers.system_calls import NEWEST, Machine, machine

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_FILTER, _SET_FILTER, _ALL_THREADS = 2, 1, 1
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_VERSION_FLAG = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_TRACE_BYTES = 64 << 10  # of the memory file that gets a traceback

# Classic BPF; the data of a filter are number, processor, address, and six arguments of 8 bytes.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _PROCESSOR, _ARGUMENTS = 0, 4, 16
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
# By name: which argument has the flags. Landlock before its version 3 does not know O_TRUNC, which
# empties what is open for reading only.
_OPENS = {"open": 1, "openat": 2}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# By name: argument, and what it may be. fcntl: no owner who would get signals; ioctl: none but
# what Python asks of a file that it opens.
_ONLY = {
    "fcntl": (1, (0, 1, 2, 3, 4, 1030)),
    "fcntl64": (1, (0, 1, 2, 3, 4, 1030)),
    "ioctl": (1, (0x5401, 0x5450, 0x5451)),
}

Instruction = tuple[int, int, int, int]


def why_not() -> str:
    """Return why this kernel cannot confine, an empty text if it can."""
    if machine() is None:
        return f"there is no filter for processors of the kind {os.uname().machine}"
    if _landlock_version() < 1:
        if ctypes.get_errno() == errno.EPERM:
            return "the systemd unit or the container that this runs in refuses Landlock"
        return "the kernel has no Landlock, or it is switched off"
    if (
        _libc().prctl(_PR_SET_SECCOMP, _FILTER, None, 0, 0) == 0
        or ctypes.get_errno() != errno.EFAULT
    ):
        return "the kernel has no seccomp filters"
    return ""


def memory_now() -> int:
    """Return the address space that this process has, bytes."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def limit(memory: int) -> None:
    """Limit the address space to a number of bytes, and what the process may open and write."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, _TRACE_BYTES),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(what, (most, most))


def folders_of_python() -> set[str]:
    """Return where Python's own library is, and the shared libraries that are loaded."""
    folders = {os.path.dirname(os.__file__)}
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            path = line.rstrip("\n").partition("/")[2]
            if ".so" in os.path.basename(path):
                folders.add(os.path.dirname(f"/{path}"))
    return folders


def confine(folders: Iterable[str], between: Callable[[], object] = lambda: None) -> None:
    """Lock this process in, for good. It must have one thread.

    Args:
        folders: what may be read, with all that is in them.
        between: starts the threads of its own that it needs; later there can be none.

    Raises:
        OSError: the kernel refuses.
    """
    kind = machine()
    if kind is None:
        raise OSError(errno.ENOSYS, why_not())
    libc = _libc()
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _restrict_files(libc, folders)
    between()
    program = filter_of(kind, os.getpid())
    block = b"".join(_instruction_bytes(it) for it in program)
    buffer = ctypes.create_string_buffer(block, len(block))
    header = _Program(len(program), ctypes.cast(buffer, ctypes.c_void_p))
    if _checked(libc.syscall(kind.seccomp, _SET_FILTER, _ALL_THREADS, ctypes.byref(header))):
        raise OSError(errno.ESRCH, "a thread of this process does not take the filter")


def refuse_processes() -> None:
    """Let a process without confinement start no processes and no threads, if it is not root's."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def filter_of(kind: Machine, pid: int) -> list[Instruction]:
    """Return the filter of system calls for a process, as (code, if true, if false, constant)."""
    program: list[Instruction] = [
        (_LOAD, 0, 0, _PROCESSOR),
        (_EQUAL, 1, 0, kind.audit),  # the numbers of another one would mean other calls
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    refuse: Instruction = (_RETURN, 0, 0, _REFUSE | errno.EPERM)
    allow: Instruction = (_RETURN, 0, 0, _ALLOW)
    for name, number in kind.calls.items():
        if name == "clone":
            continue  # neither processes nor threads
        body: list[Instruction] = [allow]
        if name in _ONLY:
            argument, allowed = _ONLY[name]
            body = [*_is_one_of(argument, allowed), refuse]
        elif name in _OPENS:
            flags = (_LOAD, 0, 0, _ARGUMENTS + _OPENS[name] * 8)
            body = [flags, (_ANY_BIT, 0, 1, _WRITING), refuse, allow]
        elif name == "tgkill":
            body = [*_is_one_of(0, (pid,)), refuse]  # abort() sends itself a signal
        elif name == "prlimit64":
            body = [  # to ask is allowed, to set is not
                (_LOAD, 0, 0, _ARGUMENTS + 2 * 8),
                (_EQUAL, 0, 2, 0),
                (_LOAD, 0, 0, _ARGUMENTS + 2 * 8 + 4),
                (_EQUAL, 1, 0, 0),
                refuse,
                allow,
            ]
        program += [(_EQUAL, 0, len(body), number), *body]
    missing: Instruction = (_RETURN, 0, 0, _REFUSE | errno.ENOSYS)
    return [*program, (_AT_LEAST, 0, 1, NEWEST), missing, refuse]


def _is_one_of(argument: int, values: Sequence[int]) -> list[Instruction]:
    tests = [step for value in values for step in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW))]
    return [(_LOAD, 0, 0, _ARGUMENTS + argument * 8), *tests]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scope", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def _instruction_bytes(instruction: Instruction) -> bytes:
    code, if_true, if_false, constant = instruction
    return code.to_bytes(2, "little") + bytes((if_true, if_false)) + constant.to_bytes(4, "little")


def _restrict_files(libc: ctypes.CDLL, folders: Iterable[str]) -> None:
    version = _landlock_version()
    bits = 13 if version < 2 else 14 if version < 3 else 15 if version < 5 else 16
    ruleset = _Ruleset((1 << bits) - 1, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _checked(libc.syscall(_LANDLOCK_CREATE, ctypes.byref(ruleset), size, 0))
    try:
        for path in folders:
            folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                beneath = _Beneath(_READ_FILE | _READ_DIR, folder)
                _checked(libc.syscall(_LANDLOCK_ADD, rules, 1, ctypes.byref(beneath), 0))
            finally:
                os.close(folder)
        _checked(libc.syscall(_LANDLOCK_RESTRICT, rules, 0))
    finally:
        os.close(rules)


def _landlock_version() -> int:
    version: int = _libc().syscall(_LANDLOCK_CREATE, None, 0, _VERSION_FLAG)
    return version


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    for name in ("syscall", "prctl"):
        getattr(libc, name).restype = ctypes.c_long
    return libc


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
