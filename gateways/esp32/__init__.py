"""The gateway of ESP32 boards: boards join by their MAC address, report, and switch an LED."""
