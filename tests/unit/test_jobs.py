"""How a script's block ends: the log, and what a user sees."""

import logging
import os
import re
import signal
import time
import warnings

import pytest

from rotvar.errors import InputError
from rotvar.jobs import job
from rotvar.system.files import atomic
from rotvar.system.interruption import Interrupted


def test_the_log_has_what_the_library_says_and_python_warns_of(tmp_path):
    with job(tmp_path / "logs" / "a.log"):
        logging.getLogger("rotvar").info("epoch %d", 3)
        warnings.warn("old", stacklevel=1)
    log = (tmp_path / "logs" / "a.log").read_text()
    assert "epoch 3" in log
    assert "old" in log


def test_the_log_names_a_file_whose_name_is_no_text(tmp_path, capsys):
    with job(tmp_path / "a.log"):
        logging.getLogger("rotvar").error("%s", os.fsdecode(b"caf\xe9.png"))
    assert (tmp_path / "a.log").read_text().endswith("caf\\udce9.png\n")
    assert capsys.readouterr().err == ""


def test_the_log_is_that_of_the_last_run(tmp_path):
    for said in ("first", "second"):
        with job(tmp_path / "a.log"):
            logging.getLogger("rotvar").info(said)
    (line,) = (tmp_path / "a.log").read_text().splitlines()
    assert line.endswith(" second")


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


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "CUDA"]
)
def test_memory_that_runs_out_is_a_sentence(error, tmp_path, capsys):
    if error == "CUDA":
        error = type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory\nand more")
    with pytest.raises(SystemExit) as ended, job(tmp_path / "a.log"):
        raise error
    assert ended.value.code == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"Error: memory ran out \(.+\): run fewer jobs at a time, or give the job more .*", sentence)
    assert sentence in (tmp_path / "a.log").read_text()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_and_leaves_nothing_half_written(number, status, tmp_path, capsys):
    former = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, job(tmp_path / "a.log"), atomic(tmp_path / "table.csv") as part:
        part.write_text("half")
        os.kill(os.getpid(), number)
        time.sleep(10)
    assert ended.value.code == status
    assert capsys.readouterr().err == "asked to stop: run again to make this file\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.log"]
    assert signal.getsignal(number) is former


def test_a_second_signal_changes_nothing(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, job(tmp_path / "a.log"):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
    assert ended.value.code == 143
    assert capsys.readouterr().err == "asked to stop: run again to make this file\n"


def test_a_signal_is_not_taken_for_an_error(tmp_path):
    """Libraries go on after errors of their own."""
    with pytest.raises(SystemExit) as ended, job(tmp_path / "a.log"):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except Exception:
            time.sleep(10)
    assert ended.value.code == 143


def test_a_log_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "logs").write_text("a file")
    said = r"^Error: .*logs/a\.log cannot be written \(.+\): name another folder as"
    with pytest.raises(SystemExit, match=said), job(tmp_path / "logs" / "a.log"):
        raise AssertionError("the job does not begin")


def test_a_log_that_gets_no_more_lines_is_no_failure(capsys):
    with job("/dev/full"):  # a disk that is full when something is written
        logging.getLogger("rotvar").info("a line")
    assert capsys.readouterr().err == ""
