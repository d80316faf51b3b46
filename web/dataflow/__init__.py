"""The editor of graphs: devices of IoTtalk and of the bus, functions between them."""
