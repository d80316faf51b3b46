"""An MQTT broker that JPH starts, watches, and closes to strangers."""

from jph.config.model import Component, Config


def broker_in(config: Config, broker: str) -> Component | None:
    """Return the Broker that a setting names by its Codifier; None: it is a broker elsewhere."""
    component = config.components.get(broker)
    return component if component is not None and component.type == "Broker" else None
