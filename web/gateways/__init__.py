"""The gateways: how they do, their devices, and what these are configured with."""
