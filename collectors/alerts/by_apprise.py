"""Deliver one message by apprise, in a process of its own.

Apprise knows a hundred services, and takes 40 MB and a second to load; so it is loaded for each
message, and the node that runs the alerts stays small.
"""

import json
import sys
from pathlib import Path


def main() -> int:
    """Read the message as JSON, deliver it; print why if it was not delivered."""
    import apprise

    given = json.load(sys.stdin)
    file = given["file"]
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        print(f"{file} cannot be read")
        return 1
    told = apprise.Apprise()
    for line in map(str.strip, lines):
        if line and not line.startswith("#") and not told.add(line):
            print(f"{file} has a line that is no address of apprise")
            return 1
    if not len(told):
        print(f"{file} names no address of apprise")
        return 1
    if told.notify(title=given["title"], body=given["body"], notify_type=given["kind"]):
        return 0
    print("apprise could not deliver it to all of its addresses")
    return 1


if __name__ == "__main__":
    sys.exit(main())
