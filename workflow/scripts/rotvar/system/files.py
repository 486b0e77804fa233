"""Files that appear under their final name only when they are whole."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rotvar.errors import InputError

# The errors of a disk and its folders, not of whatever else a block does: a connection that breaks, say
_REFUSALS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ELOOP,
    errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
}  # fmt: skip


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to; it becomes `path` when the block ends well, and is removed when it does not.

    Parent folders are made. The temporary file stands beside the final one, because a rename is atomic only within
    a file system, keeps its suffix, because many writers choose the format by it, and is hidden, because readers of
    whole folders (Arrow, `results.read`) skip hidden files. What a killed process left of the same file is removed. The
    file has the permissions that the folder and the umask give to new ones, so that a group can share its results.

    Raises InputError where the system refuses: a full disk, a folder that may not be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in leftovers(path):
            left.unlink(missing_ok=True)
        temporary.touch()
        permissions = temporary.stat().st_mode
        temporary.unlink()
        yield temporary
        temporary.chmod(permissions)  # safetensors lets only the owner read what it writes
        # Without this a crash of the machine can leave the new name on an empty file.
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:  # an interrupt leaves nothing behind either
        refusal = _refusal(path, temporary, error)
        if temporary.is_file():
            temporary.unlink()
        if refusal:
            raise refusal from error
        raise


def leftovers(path: Path) -> list[Path]:
    """The temporary files of `atomic` for `path` that are there."""
    name = re.compile(re.escape(f".{path.stem}.") + "[0-9a-f]{32}" + re.escape(path.suffix))
    return [file for file in path.parent.iterdir() if name.fullmatch(file.name)]


def _refusal(path: Path, temporary: Path, error: BaseException) -> InputError | None:
    """The sentence for an error with which the system refused to write `path`; None for any other error."""
    number, file = (error.errno, error.filename) if isinstance(error, OSError) else (0, None)
    if found := re.search(r"\(os error (\d+)\)", str(error)):  # as safetensors says it
        number = int(found[1])
    if not number or number not in _REFUSALS:
        return None
    if file is not None and Path(os.fsdecode(file)) not in (temporary, path, *path.parents):
        return None
    reason, remedy = os.strerror(number), "name another folder as `results` in the configuration, or change that one,"
    if number in (errno.ENOSPC, errno.EDQUOT):
        written = temporary.stat().st_size if temporary.is_file() else 0
        free = shutil.disk_usage(next(folder for folder in path.absolute().parents if folder.is_dir())).free
        reason += f": {written:,} bytes of the file were written, {free:,} are free"
        remedy = "free some space"
    return InputError(f"{path} cannot be written ({reason}): {remedy} and run again")
