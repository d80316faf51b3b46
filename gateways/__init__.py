"""Devices of other systems, on to the bus: what speaks MQTT or HTTP."""
