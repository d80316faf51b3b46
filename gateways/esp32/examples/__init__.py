"""Simulated ESP32 boards, to try things out, and a program that is many of them."""
