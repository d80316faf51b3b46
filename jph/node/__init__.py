"""Components at work: their channels, callbacks and timers, in one process."""
