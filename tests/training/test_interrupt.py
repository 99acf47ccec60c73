import os
import signal
import threading

import pytest

from kinema.training.interrupt import DeferredInterrupt


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


def test_a_termination_signal_waits_too_and_is_named():
    with DeferredInterrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt) as stop:
            interrupt.check()
    assert stop.value.args == (signal.SIGTERM,)


def test_a_forked_process_ends_by_a_termination_signal_and_ignores_an_interrupt():
    with DeferredInterrupt():
        child = os.fork()
        if child == 0:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            os._exit(1)
        _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM


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
