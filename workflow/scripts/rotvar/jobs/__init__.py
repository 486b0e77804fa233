"""How a script of the workflow runs: its log file, and errors that a user can mend without a traceback."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rotvar.errors import InputError, out_of_memory, reason
from rotvar.system import limits
from rotvar.system.interruption import SIGNALS, Interrupted

logger = logging.getLogger("rotvar")

DEBUG = "ROTVAR_DEBUG"  # in the environment of the jobs of `snakemake --debug`


class _Log(logging.FileHandler):
    """A log on a full disk loses lines; the job goes on."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        try:
            super().close()
        except OSError:
            self.stream = None


def _interrupt(number: int, _: FrameType | None) -> None:
    for each in SIGNALS:  # another one would interrupt what is done about this one
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted("asked to stop: run again to make this file", number)


@contextmanager
def job(log: str | Path) -> Iterator[None]:
    """Write what the library logs, and Python's warnings, to the file `log` while the block runs.

    An InputError becomes one line in the log and on stderr, and exit status 1; under `snakemake --debug` its traceback
    is in the log too. So do memory that runs out and a log that cannot be written. SIGTERM and SIGINT raise
    Interrupted, which becomes a line with the exit status that a shell gives to the signal (143 for SIGTERM): the job
    failed, and may be tried again. Any other exception leaves its traceback in the log and goes on.
    """
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        handler = _Log(log, mode="w", encoding="utf-8", errors="backslashreplace")  # of file names that are no text
    except OSError as error:
        remedy = "name another folder as `results` in the configuration, or change that one"
        sys.exit(f"Error: {log} cannot be written ({error.strerror}): {remedy}")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"))
    loggers = (logger, logging.getLogger("py.warnings"))
    logging.captureWarnings(True)
    for each in loggers:
        each.addHandler(handler)
        each.propagate = False
    logger.setLevel(logging.INFO)
    former = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    limits.keep()
    try:
        yield
    except InputError as error:
        logger.error("Error: %s", error, exc_info=DEBUG in os.environ)
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    except Interrupted as interrupted:
        logger.info("%s", interrupted)
        print(interrupted, file=sys.stderr)
        sys.exit(128 + interrupted.signal)
    except BaseException as error:
        if not out_of_memory(error):
            logger.exception("The job failed.")
            raise
        sentence = f"Error: memory ran out ({reason(error)}): run fewer jobs at a time, or give the job more memory"
        logger.error(sentence)
        print(sentence, file=sys.stderr)
        sys.exit(1)
    finally:
        for number, handle in former.items():
            signal.signal(number, handle)
        for each in loggers:
            each.removeHandler(handler)
            each.propagate = True
        logging.captureWarnings(False)
        handler.close()
