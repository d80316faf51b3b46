"""Graphs of IoTtalk: from input features through functions to output features.

    push(device, feature) -> its function -> slot -> join -> function of each output -> output(...)

Nothing here knows of MQTT, HTTP, the store or processes.
"""
