"""How a script's block ends: the log, and what a user sees."""

import logging
import signal
import warnings

import pytest

from rotvar.errors import InputError
from rotvar.interruption import Interrupted
from rotvar.jobs import job


def test_the_log_has_what_the_library_says_and_python_warns_of(tmp_path):
    with job(tmp_path / "logs" / "a.log"):
        logging.getLogger("rotvar").info("epoch %d", 3)
        warnings.warn("old", stacklevel=1)
    log = (tmp_path / "logs" / "a.log").read_text()
    assert "epoch 3" in log
    assert "old" in log


def test_a_job_that_says_nothing_has_a_log(tmp_path):
    with job(tmp_path / "a.log"):
        pass
    assert (tmp_path / "a.log").read_text() == ""


def test_an_input_error_is_a_sentence_and_a_failure(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, job(tmp_path / "a.log"):
        raise InputError("the file is empty: make it again")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "Error: the file is empty: make it again\n"
    log = (tmp_path / "a.log").read_text()
    assert log.endswith("Error: the file is empty: make it again\n")
    assert "Traceback" not in log


def test_another_error_leaves_its_traceback_in_the_log_and_goes_on(tmp_path):
    with pytest.raises(ZeroDivisionError), job(tmp_path / "a.log"):
        print(1 / 0)
    log = (tmp_path / "a.log").read_text()
    assert "Traceback" in log
    assert "ZeroDivisionError" in log


def test_after_a_job_logging_is_as_before(tmp_path):
    logger = logging.getLogger("rotvar")
    with job(tmp_path / "a.log"):
        pass
    assert logger.handlers == []
    assert logger.propagate
    logger.info("later")
    assert (tmp_path / "a.log").read_text() == ""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_job_that_was_asked_to_stop_says_so_and_ends_as_a_shell_would_say(number, status, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, job(tmp_path / "a.log"):
        raise Interrupted("asked to stop after step 3", number)
    assert ended.value.code == status
    assert capsys.readouterr().err == "asked to stop after step 3\n"
    log = (tmp_path / "a.log").read_text()
    assert log.endswith("asked to stop after step 3\n")
    assert "Traceback" not in log
