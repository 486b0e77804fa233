"""Files from the network: from the first server that gives the whole file."""

import hashlib
import logging
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path

from rotvar.errors import InputError, reason
from rotvar.system.files import atomic

log = logging.getLogger("rotvar")

TIMEOUT = 30.0  # seconds in which a server must send something
ATTEMPTS = 4  # at each server, in turn
WAIT = 2.0  # seconds before the second round; each later one waits twice as long


def fetch(urls: Iterable[str], path: str | Path, md5: str) -> None:
    """Download the file with this MD5 to `path` from one of `urls`, which are tried in turn, `ATTEMPTS` rounds of them.

    Nothing but the whole file ever stands at `path`. A server that does not have it is not asked again. Raises OSError,
    with what each server did at last, where none gives it, and InputError where it cannot be written.
    """
    waiting, failures = list(urls), dict[str, str]()
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(WAIT * 2 ** (attempt - 1))
        for url in list(waiting):
            try:
                _download(url, Path(path), md5)
            except (OSError, HTTPException, ValueError) as error:
                if isinstance(error, InputError):  # of this machine's disk
                    raise
                failures[url] = _reason(error)
                log.warning("%s: %s", url, failures[url])
                if isinstance(error, urllib.error.HTTPError) and error.code in (401, 403, 404, 410):
                    waiting.remove(url)
            else:
                return
        if not waiting:
            break
    raise OSError("; ".join(f"{url}: {failure}" for url, failure in failures.items()))


def _download(url: str, path: Path, md5: str) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "rotvar"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response, atomic(path) as part:
        with part.open("wb") as file:
            shutil.copyfileobj(response, file)
        expected = response.headers.get("Content-Length")
        if expected and part.stat().st_size != int(expected):
            raise ValueError(f"the connection ended after {part.stat().st_size:,} of {int(expected):,} bytes")
        with part.open("rb") as file:
            if hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() != md5:
                raise ValueError("the file is corrupted, or not the published one: its MD5 differs")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return f"it sent nothing for {TIMEOUT:g} s"
    return reason(error)
