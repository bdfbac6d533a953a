"""Get a source's upstream files, or verify those that are there.

    python -m data_prep fetch --preset paper --source cifar10 --root data/cifar10 --receipt FILE

What is complete is verified and never fetched again; nothing is written then but what spares the next
verification. Public archives are downloaded, checked and unpacked; what needs a registration is described.
The folder can be shared between presets, checkouts and users.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from cld.config import load_source
from cld.runtime.errors import InputError
from cld.runtime.files import writing
from data_prep.fetch.archive import remove_leftovers, unfinished, unpack
from data_prep.fetch.checksums import Checksums, md5_of
from data_prep.fetch.contents import Alternative, by_hand_error, complete_alternative, missing_paths
from data_prep.fetch.disk import only_fetch
from data_prep.fetch.http import Patience, discard, download, record_of
from data_prep.fetch.receipt import make_receipt, write_receipt

USUAL = Patience()


def fetch_source(
    name: str,
    source: Mapping,
    root: str | Path,
    mirror: str | None = None,
    patience: Patience = USUAL,
    recheck: bool = False,
) -> dict:
    """Bring the files of a source to ``root`` where they are missing, and verify them.

    Args:
        name: the source's name: a file of config/sources, and its key in ``data.paths``.
        source: its settings, as :func:`cld.config.load_source` gives them.
        mirror: an address that replaces what stands before the archives' names.
        recheck: read every file with a published checksum, also where it has not changed since the last time.

    Returns:
        The receipt (:func:`data_prep.fetch.receipt.make_receipt`).

    Raises:
        InputError: files must be got by hand, cannot be got, or have a wrong checksum; no room.
    """
    root = Path(os.path.abspath(root))
    checksums = Checksums(root, recheck)
    alternative = _complete(root, source, checksums)
    if alternative is None and source["archives"]:
        with only_fetch(root):
            remove_leftovers(root)
            alternative = _fetch_archives(name, source, root, mirror, patience, checksums)
    if alternative is None and source["by_hand"]:
        raise by_hand_error(name, root, source)
    if alternative is None:
        missing = ", ".join(missing_paths(root, source["expects"][0]))
        raise InputError(
            f"{root}: {missing} missing, also after its archives were unpacked; fix expects or archives in "
            f"config/sources/{name}.yaml"
        )
    return make_receipt(name, source, root, alternative)


def _complete(root: Path, source: Mapping, checksums: Checksums) -> Alternative | None:
    """The alternative that is complete; None also where a kill has left an archive half moved into place."""
    if any(unfinished(root / archive["file"]) for archive in source["archives"]):
        return None
    return complete_alternative(root, source["expects"], checksums)


def _fetch_archives(
    name: str, source: Mapping, root: Path, mirror: str | None, patience: Patience, checksums: Checksums
) -> Alternative | None:
    """Download and unpack archive after archive, until everything is there."""
    for archive in source["archives"]:
        alternative = _complete(root, source, checksums)  # another fetch may have been here
        if alternative is not None:
            return alternative
        path = root / archive["file"]
        if path.exists():
            _verify_archive(path, archive["md5"], checksums)
        else:
            url = archive["url"] if mirror is None else f"{mirror.rstrip('/')}/{archive['file']}"
            _download_archive(url, path, archive["md5"], patience, checksums)
        unpack(path, root)
    return _complete(root, source, checksums)


def _verify_archive(path: Path, wanted: str, checksums: Checksums) -> None:
    found = checksums.md5(path.name)
    if found == wanted:
        return
    aside = path.with_name(f"{path.name}.bad")
    with writing(path):
        os.replace(path, aside)
    raise InputError(
        f"{path}: its MD5 is {found}, the publisher's is {wanted}; it was moved to {aside.name}: run again "
        "to fetch it anew"
    )


def _download_archive(url: str, path: Path, wanted: str, patience: Patience, checksums: Checksums) -> None:
    """Download to ``<path>.part``; the archive gets its name when its checksum is right."""
    part = path.with_name(f"{path.name}.part")
    fix = f"set data.mirror in config/config.yaml to another address, or put the file there by hand: {path}"
    while True:
        was_resumed = download(url, part, fix, patience)
        if path.exists():  # another fetch was first: see cld.runtime.lock
            discard(part)
            _verify_archive(path, wanted, checksums)
            return
        found = md5_of(part)
        if found == wanted:
            break
        discard(part)
        if not was_resumed:
            raise InputError(
                f"{url}: the MD5 of what came is {found}, the publisher's of {path.name} is {wanted}; it was "
                f"removed: run again, {fix}"
            )
        print(f"{url}: the parts that came do not fit together; starting over", file=sys.stderr, flush=True)
    with writing(path):
        os.replace(part, path)
        record_of(part).unlink(missing_ok=True)
    checksums.remember(path.name, wanted)


def main() -> None:
    """Get a source's upstream files, or verify those that are there."""
    parser = argparse.ArgumentParser(prog="python -m data_prep fetch", description=main.__doc__)
    parser.add_argument("--preset", required=True, help="scale: a file of config/presets")
    parser.add_argument("--source", required=True, help="a file of config/sources")
    parser.add_argument("--root", type=Path, required=True, help="the source's folder")
    parser.add_argument("--receipt", type=Path, required=True, help="JSON file to write: what is there")
    parser.add_argument("--mirror", help="fetch archives from MIRROR/<name of the archive>")
    parser.add_argument("--recheck", action="store_true", help="read also what was verified before")
    options = parser.parse_args()
    source = load_source(options.preset, options.source)
    if source["generate"] is not None:
        raise InputError(
            f"config/presets/{options.preset}.yaml: sources.{options.source}.generate is set: this preset "
            "generates the files; choose another preset to fetch the publisher's"
        )
    receipt = fetch_source(options.source, source, options.root, options.mirror, recheck=options.recheck)
    write_receipt(options.receipt, receipt)
