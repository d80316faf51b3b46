"""JPH: a sensor bus for a local network, on two UDP multicast channels, without a broker.

The names that a component of one's own needs; everything else is in the modules.
"""

from jph.clock import time_now_ms
from jph.errors import (
    ChannelError,
    ConfigError,
    DatagramError,
    JphError,
    SensorError,
    StoreError,
)
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.node.standalone import StandaloneChannel, jph
from jph.settings import setting

timeNow = time_now_ms

__all__ = [
    "STATE",
    "Channel",
    "ChannelError",
    "ConfigError",
    "DatagramError",
    "JphError",
    "SensorError",
    "StandaloneChannel",
    "StoreError",
    "jph",
    "setting",
    "timeNow",
    "time_now_ms",
]
