"""Which run of our broker this is: another one after each start of its program.

Who was connected to the run before has to connect anew; wills of that run may be lost.
"""

from pathlib import Path
from uuid import uuid4

from gateways.broker import broker_in
from gateways.broker.accounts import folder_of
from jph.config.model import Config
from jph.files import write_file

_FILE = "instance"


def begin(home: Path) -> None:
    """Note that the broker of a home directory is about to start."""
    write_file(folder_of(home) / _FILE, uuid4().hex.encode(), mode=0o600)


def present(broker: str, config: Config, home: Path) -> str:
    """Return the run of a Broker by its Codifier; empty for a broker elsewhere."""
    if broker_in(config, broker) is None:
        return ""
    try:
        return (folder_of(home) / _FILE).read_text()
    except OSError:
        return ""
