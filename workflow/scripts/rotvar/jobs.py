"""How a script of the workflow runs: its log file, and errors that a user can mend without a traceback."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rotvar.errors import InputError
from rotvar.interruption import Interrupted

logger = logging.getLogger("rotvar")

DEBUG = "ROTVAR_DEBUG"  # in the environment of the jobs of `snakemake --debug`


@contextmanager
def job(log: str | Path) -> Iterator[None]:
    """Write what the library logs, and Python's warnings, to the file `log` while the block runs.

    An InputError becomes one line in the log and on stderr, and exit status 1. Under `snakemake --debug` its traceback
    is in the log too. Interrupted becomes a line as well, with the exit status that a shell gives to the signal (143
    for SIGTERM): the job failed, and may be tried again. Any other exception leaves its traceback in the log and goes
    on.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(log, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"))
    loggers = (logger, logging.getLogger("py.warnings"))
    logging.captureWarnings(True)
    for each in loggers:
        each.addHandler(handler)
        each.propagate = False
    logger.setLevel(logging.INFO)
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
    except BaseException:
        logger.exception("The job failed.")
        raise
    finally:
        for each in loggers:
            each.removeHandler(handler)
            each.propagate = True
        logging.captureWarnings(False)
        handler.close()
