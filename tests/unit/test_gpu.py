"""What is computed on a GPU works on one that is pretended, where there is no other."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_on_a_gpu():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "on_a_gpu.py"]
    run = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
