"""`python -m web.backup HOME [HISTORY]`: a backup on stdout, of a configuration on stdin.

With the history it has all that devices of gateways sent, too.

A process of its own, since the history must not be opened besides in one that uses it.
"""

import sys
from pathlib import Path

from jph.errors import StoreError
from web.backup.writing import write


def main() -> int:
    """Write a backup."""
    home, *history = (Path(argument) for argument in sys.argv[1:])
    try:
        config, file = sys.stdin.buffer.read(), history[0] if history else None
        left_out = write(sys.stdout.buffer, home, config, file, whole=file is not None)
        sys.stdout.buffer.flush()
    except (StoreError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for name in left_out:
        print(f"{name} is too large for a backup", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
