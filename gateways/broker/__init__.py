"""An MQTT broker that JPH starts, watches, and closes to strangers."""
