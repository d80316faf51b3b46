"""Sensors of Tenta and of hermes: the same messages, routes and tables as theirs."""
