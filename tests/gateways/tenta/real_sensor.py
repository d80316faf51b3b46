"""A real sensor: the client `tenta` of PyPI, in a process of its own.

    python -m tests.gateways.tenta.real_sensor PORT SENSOR COUNT [CA PASSWORD]

With CA, the file of one, it comes in by TLS and by the account SENSOR. It measures COUNT times,
logs a line, prints each configuration that comes, acknowledges it, and goes on until its input
ends.
"""

import json
import sys
import time

from tenta import (
    AcknowledgmentMessage,
    LogMessage,
    MeasurementMessage,
    TentaClient,
    TLSParameters,
)


def main() -> None:
    """Be the sensor."""
    port, sensor, count, *secure = sys.argv[1:]
    came = []
    client = TentaClient(
        mqtt_host="127.0.0.1",
        mqtt_port=int(port),
        mqtt_identifier=sensor if secure else "sensor",
        mqtt_password=secure[1] if secure else "any",
        tls_parameters=TLSParameters(ca_certs=secure[0]) if secure else None,
        sensor_identifier=sensor,
        on_config_message=came.append,
    )
    for number in range(int(count)):
        revision = 0 if number else None  # which it sends as null
        client.publish(MeasurementMessage({"temperature": 20.5 + number}, revision=revision))
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
