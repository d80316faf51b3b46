"""IoTtalk: devices that register over HTTP, and graphs that join their features."""
