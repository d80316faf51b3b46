"""What graphs send to the bus, paced."""

import threading

from gateways.iottalk.paced import Paced


def test_it_ends_though_it_is_closed_while_it_sends():
    sending, closing = threading.Event(), threading.Event()

    def send(codifier, value):
        sending.set()
        closing.wait(30)

    paced = Paced("paced", send)
    paced.offer("F1", 1)
    assert sending.wait(30)
    closer = threading.Thread(target=paced.close)
    closer.start()
    closer.join(0.2)  # it waits for the thread that sends
    closing.set()
    closer.join(10)
    assert "paced" not in {thread.name for thread in threading.enumerate()}
