"""Downloads that survive bad servers and lines: resumed, retried, never spliced from two versions."""

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests
import urllib3

from cld.runtime.errors import InputError
from cld.runtime.files import write_json, writing
from cld.runtime.progress import progress
from data_prep.fetch.disk import MEGABYTE, require_space

CHUNK = 1 << 15
"""Bytes read at a time: what a break can cost."""

PASSING = {408, 425, 429}
"""Answers below 500 that another try may fix."""


@dataclass(frozen=True)
class Patience:
    """How long a download is tried."""

    timeout_s: float = 30.0
    """Seconds without a byte after which a connection counts as stalled."""

    retries: int = 6
    """Tries after the first failure; a try that brings the download further starts the count again."""

    pause_s: float = 2.0
    """Seconds before the first retry; each further one waits twice as long."""

    longest_pause_s: float = 300.0
    """The longest wait in seconds, also where the server asks for one (Retry-After)."""


class _BrokenError(Exception):
    """A try failed in a way that another may not; the server may have said when to come back."""

    def __init__(self, reason: str, retry_after_s: float | None = None):
        super().__init__(reason)
        self.retry_after_s = retry_after_s


def record_of(part: Path) -> Path:
    """The file beside ``part`` that says what it is a part of: URL, length, ETag, Last-Modified."""
    return part.with_name(f"{part.name}.json")


def discard(part: Path) -> None:
    """Remove a partial download: the next one starts over."""
    with writing(part):
        part.unlink(missing_ok=True)
        record_of(part).unlink(missing_ok=True)


def download(url: str, part: Path, fix: str, patience: Patience) -> bool:
    """Bring the file at ``url`` to ``part``, going on from what is there already.

    Args:
        fix: what a user can do when the server does not give the file; ends the messages.

    Returns:
        Whether the file was put together from several answers.

    Raises:
        InputError: the server refuses, every try failed, or ``part`` cannot be written.
    """
    furthest = _size(part)
    failures = 0
    resumed = furthest > 0
    while True:
        try:
            _try(url, part, fix, patience.timeout_s)
            return resumed
        except _BrokenError as broken:
            reached = _size(part)
            resumed = resumed or reached > 0
            failures = 0 if reached > furthest else failures + 1
            furthest = max(furthest, reached)
            if failures > patience.retries:
                raise InputError(
                    f"{url}: {broken}, after {failures} tries in vain; run again to go on with the "
                    f"{reached / MEGABYTE:,.1f} MB that came, or {fix}"
                ) from broken
            _wait(url, broken, failures, patience, fix)


def _wait(url: str, broken: _BrokenError, failures: int, patience: Patience, fix: str) -> None:
    pause = min(patience.pause_s * 2 ** max(failures - 1, 0), patience.longest_pause_s)
    if broken.retry_after_s is not None:
        pause = broken.retry_after_s
        if pause > patience.longest_pause_s:
            raise InputError(
                f"{url}: {broken}, and asks to come back in {pause:.0f} s; run again then, or {fix}"
            )
    print(f"{url}: {broken}; trying again in {pause:.0f} s", file=sys.stderr, flush=True)
    time.sleep(pause)


def _try(url: str, part: Path, fix: str, timeout_s: float) -> None:
    """One request, and its body to ``part``."""
    offset, record = _size(part), _read_record(part)
    if offset and offset == record.get("length"):
        return  # all came, and the process ended before it could say so
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if record.get("url") == url and (validator := record.get("etag") or record.get("last_modified")):
            headers["If-Range"] = validator
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=timeout_s)
    except requests.exceptions.SSLError as error:
        if "certificate" not in str(error).lower():
            raise _BrokenError(_reason(error)) from error
        raise InputError(f"{url}: the server's certificate is not accepted; {fix}") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _BrokenError(_reason(error)) from error
    except (requests.RequestException, ValueError) as error:
        raise InputError(f"{url}: cannot be fetched ({error}); {fix}") from error
    with response:
        _answer(response, url, part, offset, record, fix)


def _answer(response: requests.Response, url: str, part: Path, offset: int, record: dict, fix: str) -> None:
    status = response.status_code
    if status in PASSING or status >= 500:
        raise _BrokenError(f"the server answers {status} {response.reason}", _retry_after(response))
    if status == 416 and offset:
        if _total(response) != offset:
            discard(part)
            raise _BrokenError("the part that had come does not fit the file any more")
    elif status == 206:
        if not _continues(response, url, offset, record):
            discard(part)
            raise _BrokenError("the file has changed since the download began")
        _write_body(response, url, part, offset, _total(response))
    elif status == 200:  # the whole file: nothing had come, it has changed, or the server knows no ranges
        _write_body(response, url, part, 0, _whole(response.headers.get("Content-Length")))
    else:
        raise InputError(f"{url}: the server answers {status} {response.reason}; {fix}")


def _continues(response: requests.Response, url: str, offset: int, record: dict) -> bool:
    """Whether a partial answer goes on where ``offset`` bytes of the same file end."""
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if start is None or int(start[1]) != offset:
        return False
    pairs = [(record.get("length"), _total(response))]
    if record.get("url") == url:
        seen = _validators(response)
        pairs += [(record.get(name), seen[name]) for name in seen]
    return all(known == now for known, now in pairs if known is not None and now is not None)


def _write_body(response: requests.Response, url: str, part: Path, offset: int, length: int | None) -> None:
    with writing(part):
        part.touch()
    if length is not None:
        # what lies beyond the offset is written over
        require_space(part.parent, length - max(offset, _size(part)), f"downloading {part.stem}")
    label = f"fetch {part.stem}" + ("" if length is not None else " (of unknown size)")
    total = 0 if length is None else length // MEGABYTE
    reached = offset
    # not opened for appending: should two processes be at it, they write the same bytes to the same places
    with writing(part), open(part, "r+b") as file:
        if offset == 0:
            file.truncate()
        file.seek(offset)
        write_json(record_of(part), {"url": url, "length": length, **_validators(response)})
        with progress(label, total, "MB", done=offset // MEGABYTE) as bar:
            for chunk in _body(response):
                file.write(chunk)
                file.flush()  # a process that is killed keeps what had come
                bar.advance((reached + len(chunk)) // MEGABYTE - reached // MEGABYTE)
                reached += len(chunk)
    if length is not None and reached != length:
        raise _BrokenError(f"the connection ended at {reached} of {length} bytes")


def _body(response: requests.Response) -> Iterator[bytes]:
    """The bytes as they come: an archive that the server calls "encoded" must not be decoded."""
    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _BrokenError(_reason(error)) from error


def _validators(response: requests.Response) -> dict[str, str | None]:
    etag = response.headers.get("ETag")
    strong = etag if etag and not etag.startswith("W/") else None
    return {"etag": strong, "last_modified": response.headers.get("Last-Modified")}


def _total(response: requests.Response) -> int | None:
    """The whole file's length in bytes, from Content-Range."""
    return _whole(response.headers.get("Content-Range", "").rpartition("/")[2])


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _retry_after(response: requests.Response) -> float | None:
    """Seconds until the server wants to be asked again."""
    text = response.headers.get("Retry-After", "").strip()
    if (seconds := _whole(text)) is not None:
        return float(seconds)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)


def _reason(error: Exception) -> str:
    """What broke, in a few words; the libraries' own texts nest several messages."""
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "the server says nothing any more"
    if inner := re.search(r"\[Errno -?\d+\] ([^'\")\]]+)", str(error)):
        return f"no connection ({inner[1].strip()})"
    return f"the connection broke ({type(error).__name__})"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read_record(part: Path) -> dict:
    """What ``part`` is a part of; empty where nothing readable says so."""
    try:
        record = json.loads(record_of(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
