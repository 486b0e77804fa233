"""A signal that asks to stop is noted, and no longer once the block has ended."""

import os
import signal

import pytest

from rotvar.system import interruption


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_ends_nothing(number):
    with pytest.raises(ZeroDivisionError), interruption.noticed() as request:
        assert not request
        os.kill(os.getpid(), number)
        assert request
        assert request.signal == number
        raise ZeroDivisionError  # what the block makes of it


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_the_block_did_not_heed_is_passed_on(number):
    passed = []
    former = signal.signal(number, lambda *given: passed.append(given[0]))
    try:
        with interruption.noticed():
            os.kill(os.getpid(), number)
            assert passed == []
    finally:
        signal.signal(number, former)
    assert passed == [number]


def test_afterwards_signals_do_what_they_did():
    former = [signal.getsignal(number) for number in interruption.SIGNALS]
    with pytest.raises(ZeroDivisionError), interruption.noticed():
        assert [signal.getsignal(number) for number in interruption.SIGNALS] != former
        print(1 / 0)
    assert [signal.getsignal(number) for number in interruption.SIGNALS] == former
