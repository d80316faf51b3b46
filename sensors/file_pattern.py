"""Files whose place changes from one start of the machine to the next, found by a pattern.

The kernel numbers devices in the order in which it finds them: what was hwmon2 may be hwmon3 after
the next start. So a path may have `*`, `?` and `[…]`, and files beside it tell which one is meant.
"""

import glob
import os
import re
from collections.abc import Mapping

from jph.errors import SensorError

_MOST_BYTES = 256  # of a file that names a device
_MOST_SHOWN = 5


def find_file(pattern: str, beside: Mapping[str, str]) -> str:
    """Return the one path that a pattern means; a path without a pattern is itself.

    Args:
        beside: what files in the same folder must say, by their names. A `*` in such a name is
            what the first `*` in the last part of the pattern stands for: beside
            `/sys/class/hwmon/hwmon*/temp*_input`, `temp*_label` is the label of each input.

    Raises:
        SensorError: no file or several fit.
    """
    if not beside and (not glob.has_magic(pattern) or os.path.lexists(pattern)):
        return pattern
    there = sorted(glob.glob(pattern))
    found = [path for path in there if _fits(path, pattern, beside)]
    if len(found) == 1:
        return found[0]
    if found:
        raise SensorError(f"{pattern}: may be {_listed(found)}; say in Beside which is meant")
    if there:
        said = ", ".join(f"{name} {text!r}" for name, text in beside.items())
        raise SensorError(f"{pattern}: none of {_listed(there)} has beside it {said}")
    raise SensorError(f"{pattern}: there is no such file")


def _fits(path: str, pattern: str, beside: Mapping[str, str]) -> bool:
    folder, name = os.path.split(path)
    star = _star_of(name, os.path.basename(pattern))
    return all(
        _text(os.path.join(folder, other.replace("*", star))) == text
        for other, text in beside.items()
    )


def _star_of(name: str, pattern: str) -> str:
    """Return what the first `*` of a pattern stands for in a name."""
    wanted = re.escape(pattern).replace(r"\*", "(.*?)", 1).replace(r"\*", ".*").replace(r"\?", ".")
    found = re.fullmatch(wanted, name)
    return found[1] if found and found.groups() else ""


def _text(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES).decode(errors="replace").strip()
    except OSError:
        return None


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - _MOST_SHOWN} more" if len(paths) > _MOST_SHOWN else ""
    return ", ".join(paths[:_MOST_SHOWN]) + more
