"""Example networks of Tenta, to try things out: their data, and a program that is their sensors."""
