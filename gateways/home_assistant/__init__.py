"""Home Assistant: components of the bus as its devices, by MQTT discovery."""
