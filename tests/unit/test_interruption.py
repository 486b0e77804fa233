"""A signal that asks to stop is noted, and no longer once the block has ended."""

import os
import signal

import pytest

from rotvar.system import interruption


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_ends_nothing(number):
    with interruption.noticed() as request:
        assert not request
        os.kill(os.getpid(), number)
        assert request
        assert request.signal == number


def test_afterwards_signals_do_what_they_did():
    former = [signal.getsignal(number) for number in interruption.SIGNALS]
    with pytest.raises(ZeroDivisionError), interruption.noticed():
        assert [signal.getsignal(number) for number in interruption.SIGNALS] != former
        print(1 / 0)
    assert [signal.getsignal(number) for number in interruption.SIGNALS] == former
