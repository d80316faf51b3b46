"""Example devices of IoTtalk and a graph between them, to try things out."""
