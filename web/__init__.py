"""The pages: Flask behind waitress, fed by the bus itself."""
