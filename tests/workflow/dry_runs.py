"""Dry runs of Snakemake in the working directory, one after the other in one process: for each line that comes in, one,
with its arguments as JSON; and for each a line with its exit status and what it said, as JSON."""

import contextlib
import io
import json
import os
import sys

from snakemake.cli import main

if __name__ == "__main__":
    asked = os.fdopen(os.dup(0))
    for line in asked:
        said, status = io.StringIO(), 0
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                main(["--dry-run", "--quiet", "all", *json.loads(line)])
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
                print(end.code)
        print(json.dumps([status, said.getvalue()]), file=sys.__stdout__, flush=True)
