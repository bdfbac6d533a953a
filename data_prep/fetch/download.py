"""Downloads that survive bad servers and lines: resumed and retried. The checksum, later, finds bad bytes."""

import sys
import time
from pathlib import Path

import requests
import urllib3

from cld.runtime.errors import InputError
from cld.runtime.files import writing
from cld.runtime.progress import progress

CHUNK = 1 << 15  # bytes read at a time: what a break can cost
PASSING = {408, 425, 429}  # answers below 500 that another try may fix

TIMEOUT_S = 30.0
"""Seconds without a byte after which a connection counts as stalled."""

RETRIES = 6
"""Tries after the first failure; a try that brings the download further starts the count again."""

PAUSE_S = 2.0
"""Seconds before the first retry; each further one waits twice as long."""


class _BrokenError(Exception):
    """A try failed in a way that another may not."""


def download(url: str, part: Path, fix: str) -> None:
    """Bring the file at ``url`` to ``part``, resuming after what is there already.

    Args:
        fix: what a user can do when the server does not give the file; ends the messages.

    Raises:
        InputError: the server refuses, every try failed, or ``part`` cannot be written.
    """
    furthest = _size(part)
    failures = 0
    while True:
        try:
            _request(url, part, fix)
            return
        except _BrokenError as broken:
            failures = 1 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            if failures > RETRIES:
                raise InputError(
                    f"{url}: {broken}, after {failures} failed tries; run again to resume after the "
                    f"{furthest:,} bytes that came, or {fix}"
                ) from broken
            pause = PAUSE_S * 2 ** (failures - 1)
            print(f"{url}: {broken}; trying again in {pause:.0f} s", file=sys.stderr, flush=True)
            time.sleep(pause)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _request(url: str, part: Path, fix: str) -> None:
    """One request, and its body to ``part``."""
    offset = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _BrokenError(_reason(error)) from error
    except (requests.RequestException, ValueError) as error:
        raise InputError(f"{url}: cannot be fetched ({error}); {fix}") from error
    with response:
        status = f"the server answers {response.status_code} {response.reason}"
        if response.status_code in PASSING or response.status_code >= 500:
            raise _BrokenError(status)
        if response.status_code == 416 and offset:
            return  # nothing comes after what is there
        if response.status_code not in (200, 206):
            raise InputError(f"{url}: {status}; {fix}")
        # 200 is the whole file: nothing had come, or the server knows no ranges
        _write_body(response, part, offset if response.status_code == 206 else 0)


def _write_body(response: requests.Response, part: Path, offset: int) -> None:
    length = int(response.headers.get("Content-Length", 0))
    with (
        writing(part),
        open(part, "ab") as file,
        progress(f"fetch {part.stem}", offset + length, "bytes", done=offset) as bar,
    ):
        file.truncate(offset)
        try:
            # as the bytes come: an archive that the server calls "encoded" must not be decoded
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                file.write(chunk)
                file.flush()  # a process that is killed keeps what had come
                bar.advance(len(chunk))
        except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
            raise _BrokenError(_reason(error)) from error
    if length and _size(part) != offset + length:
        raise _BrokenError(f"the connection ended at {_size(part)} of {offset + length} bytes")


def _reason(error: Exception) -> str:
    """What broke, in a few words; the libraries' own texts nest several messages."""
    innermost: BaseException = error
    while innermost.__context__ is not None:
        innermost = innermost.__context__
    return f"the connection broke: {' '.join(str(innermost).split()) or type(innermost).__name__}"
