"""How often a fault is made: a few times in `make test`, many times in `make faults`."""

import os
from typing import TypeVar

T = TypeVar("T")

LONG = os.environ.get("ROTVAR_FAULTS") == "long"


def times(short: T, long: T) -> T:
    return long if LONG else short
