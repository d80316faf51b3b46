"""`iotctl`, by which IoTtalk's server is started, with its ini file."""
