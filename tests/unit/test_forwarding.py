"""A program that waits for a script, as Snakemake does in a job, is sent SIGTERM alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
# Notes SIGTERM, and ends when it came
SCRIPT = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("asked to stop", flush=True), sys.exit(3)))
print("ready", flush=True)
signal.pause()
"""
# Has a handler of its own, and waits for a shell that runs the script
PROGRAM = f"""
import signal, subprocess
from rotvar.study.forwarding import forward_sigterm
forward_sigterm()
signal.signal(signal.SIGTERM, lambda *_: print("finishing", flush=True))
shell = subprocess.run(["bash", "-c", "set -e; {sys.executable} -u script.py; true"])
print("script ended with", shell.returncode, flush=True)
"""


def test_the_script_of_a_program_that_is_asked_to_stop_is_asked_too(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-c", PROGRAM]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment) as program:
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGTERM)
        said = program.communicate(timeout=30)[0].splitlines()
    assert sorted(said) == ["asked to stop", "finishing", "script ended with 3"]
    assert said[-1] == "script ended with 3"
