import signal
import threading

import pytest

from kinema.engine.interrupt import DeferredInterrupt


def test_an_interrupt_waits_for_the_next_check():
    before = signal.getsignal(signal.SIGINT)
    with DeferredInterrupt() as interrupt:
        interrupt.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_does_not_wait():
    with DeferredInterrupt():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_other_threads_receive_no_signals():
    def use():
        with DeferredInterrupt() as interrupt:
            interrupt.check()
        finished.append(True)

    finished = []
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert finished == [True]
