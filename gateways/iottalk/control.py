"""Control channels of devices: online, offline, and answers to signals.

A device speaks on `<its id>/ctrl/i`. What it says of an earlier registration, and what is none of
this, is refused and counted.
"""

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from gateways.iottalk.devices import Device
from gateways.iottalk.register import Draft, refusal
from gateways.iottalk.values import NotTaken, object_of
from gateways.message import Message

log = logging.getLogger(__name__)

TOPICS = "+/ctrl/i"


def take(draft: Draft, message: Message, is_resumed: bool = True, instance: str = "") -> None:
    """Take what a device says on its control channel.

    Args:
        is_resumed: whether the broker kept for us what was said while we were away. Where it did
            not, it has forgotten all, and what it retains was said since.
        instance: the present run of our broker.
    """
    log.debug("%s: %.1000r", message.topic, message.payload)
    if not message.payload:
        return  # a retained message was taken away
    try:
        said = object_of(message.payload)
    except NotTaken:
        return _refused(draft, message, "no JSON object")
    identifier = message.topic.partition("/")[0]
    device = draft.devices.get(identifier)
    if device is None and said.get("state") == "offline":
        return  # iottalk-py says so just before it leaves by HTTP, which may be faster
    if device is None or device.is_internal:
        return _refused(draft, message, "unknown device")
    if "msg_id" in said:
        return _answered(draft, device.heard(message.received_us, instance), said, message)
    if said.get("state") not in ("online", "offline"):
        return _refused(draft, message, "neither online, offline nor an answer")
    if said.get("rev") != device.rev:
        return _refused(draft, message, "of another registration")
    if said["state"] == "online":
        is_old = message.retained and is_resumed
        if is_old and device.online:
            return  # nats-server sends what it retains with each connection of ours
        # It may have connected anew, and knows no topics then.
        if not is_old:
            device = device.heard(message.received_us, instance)
        draft.put_device(replace(device.gone(), online=True))
        draft.announce("online", device.public())
    elif device.online:
        draft.put_device(device.gone())
        draft.announce("offline", device.id)


def lost(draft: Draft, device: Device) -> None:
    """Take a device for offline, and say so in place of the will that the broker lost."""
    draft.put_device(device.gone())
    draft.announce("offline", device.id)
    draft.say(device.channels[0], {"state": "offline", "rev": device.rev}, retain=True)


def _answered(draft: Draft, device: Device, said: dict[str, Any], message: Message) -> None:
    left = tuple(it for it in device.unanswered if it[0] != said["msg_id"])
    if said.get("state") == "error":
        _refused(draft, message, "a device refuses a signal")
    if left != device.unanswered:
        draft.devices[device.id] = replace(device, unanswered=left, heard_us=message.received_us)
        draft.changed.add(("device", device.id))


def remind(draft: Draft, identifiers: Collection[str] | None = None) -> None:
    """Send signals again that devices have not answered, all or those of some identifiers."""
    for device in draft.devices.values():
        for identifier, feature in device.unanswered if device.online else ():
            if identifiers is None or identifier in identifiers:
                draft.signal("CONNECT", feature, identifier)


def _refused(draft: Draft, message: Message, reason: str) -> None:
    draft.refusals.append(refusal(message.topic, reason, message.payload))
