"""A real sensor: the client `tenta` of PyPI, in a process of its own.

    python -m tests.gateways.tenta.real_sensor PORT SENSOR COUNT

It measures COUNT times, logs a line, prints each configuration that comes, acknowledges it, and
goes on until its input ends.
"""

import json
import sys
import time

from tenta import AcknowledgmentMessage, LogMessage, MeasurementMessage, TentaClient


def main() -> None:
    """Be the sensor."""
    port, sensor, count = sys.argv[1:]
    came = []
    client = TentaClient(
        mqtt_host="127.0.0.1",
        mqtt_port=int(port),
        mqtt_identifier="sensor",
        mqtt_password="any",
        sensor_identifier=sensor,
        on_config_message=came.append,
    )
    for number in range(int(count)):
        client.publish(MeasurementMessage(value={"temperature": 20.5 + number}, revision=0))
    client.publish(LogMessage(severity="warning", message="The door is open", revision=0))
    client.wait_for_publish()
    print("sent", flush=True)
    while not came:
        time.sleep(0.05)
    print(json.dumps([came[0].revision, came[0].configuration]), flush=True)
    client.publish(AcknowledgmentMessage(revision=came[0].revision, success=True))
    client.wait_for_publish()
    print("acknowledged", flush=True)
    sys.stdin.read()
    client.teardown()


if __name__ == "__main__":
    main()
