"""The error that a user can mend."""

import shlex
from pathlib import Path


class InputError(ValueError):
    """Something given to the program is wrong: one sentence that says what, where and the remedy.

    Scripts print the sentence without a traceback, so it must be enough to act on.
    """


def reason(error: BaseException) -> str:
    """What an error says, in its first line; of one that says nothing, what it is."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def damaged(path: str | Path, what: str, error: BaseException) -> InputError:
    """The error for a file of the workflow that cannot be used: what it fails to be, why, and how to make it again."""
    return InputError(
        f"{path} {what} ({reason(error)}): make it again with `snakemake --cores 1 --force {shlex.quote(str(path))}` "
        "and the other options of the study"
    )


# What PyTorch says when memory ran out and it has no OutOfMemoryError for it
NO_MEMORY = (
    "DefaultCPUAllocator",  # the CPU's
    "CUDA error: out of memory",  # the driver's
    "Triton Error [CUDA]: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",  # cuDNN's, of convolutions: https://github.com/pytorch/pytorch/issues/108645
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out: Python's, NumPy's, Arrow's, and PyTorch's for GPU and CPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # torch is not everywhere
        or any(words in str(error) for words in NO_MEMORY)
    )
