"""Being asked to stop: by SLURM (preemption, cancellation, time limit), by a user's Ctrl-C, by kill."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(BaseException):
    """Work ended because the process was asked to; `signal` is what asked. Like KeyboardInterrupt it is no error, which
    somebody's `except Exception` would take for one."""

    def __init__(self, sentence: str, signal: int) -> None:
        super().__init__(sentence)
        self.signal = signal


class Request:
    """Whether and how the process was asked to stop: 0, or the signal's number."""

    signal = 0

    def __bool__(self) -> bool:
        return self.signal != 0


@contextmanager
def noticed() -> Iterator[Request]:
    """In the block, SIGTERM and SIGINT end nothing: they are noted, for the block to end where it can be resumed.

    What came too late for the block to heed is passed on when it has ended. Only the main thread may use it.
    """
    request = Request()

    def note(number: int, _: FrameType | None) -> None:
        request.signal = number

    former = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    if request:
        signal.raise_signal(request.signal)
