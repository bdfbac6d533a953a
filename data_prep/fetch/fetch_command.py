"""Get a source's upstream files, or verify those that are there.

    python -m data_prep fetch --preset paper --source cifar10 --root data/cifar10 --receipt FILE

What is complete is verified and never fetched again; nothing is written then. Public archives are downloaded,
checked and unpacked; what needs a registration is described. The folder can be shared between presets,
checkouts and users.
"""

import os
import sys
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from cld.config import load_source
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError
from cld.runtime.files import write_json, writing
from cld.runtime.lock import locked
from data_prep.fetch.download import download
from data_prep.fetch.source_folder import Alternative, SourceFolder, md5_of


def fetch_source(name: str, source: Mapping, root: str | Path, mirror: str | None = None) -> dict:
    """Bring the files of a source to ``root`` where they are missing, verify them, and return the receipt.

    Args:
        source: its settings, as :func:`cld.config.load_source` gives them.
        mirror: an address that replaces what stands before the archives' names.

    Raises:
        InputError: files must be got by hand, cannot be got, or have a wrong checksum; no room.
    """
    root = Path(os.path.abspath(root))
    folder = SourceFolder(root, name, source)
    alternative = _complete(folder)
    if alternative is None and source["archives"]:
        with writing(root):
            root.mkdir(parents=True, exist_ok=True)
        with locked(root / ".fetch.lock", root, "is fetching into it"):
            alternative = _fetch_archives(folder, mirror)
    if alternative is None and source["by_hand"]:
        raise folder.by_hand_error()
    if alternative is None:
        missing = ", ".join(folder.missing_paths(source["expects"][0]))
        raise InputError(
            f"{root}: {missing} missing, also after its archives were unpacked; fix expects or archives in "
            f"config/sources/{name}.yaml"
        )
    return folder.receipt(alternative)


def _complete(folder: SourceFolder) -> Alternative | None:
    """The alternative that is complete; None also where an archive is half unpacked."""
    half = any(_unpacking(folder.root / archive["file"]).exists() for archive in folder.source["archives"])
    return None if half else folder.complete_alternative()


def _fetch_archives(folder: SourceFolder, mirror: str | None) -> Alternative | None:
    """Download and unpack archive after archive, until everything is there."""
    for archive in folder.source["archives"]:
        if alternative := _complete(folder):  # another fetch may have been here
            return alternative
        file = archive["file"]
        missing = folder.missing_paths(dict.fromkeys(archive.get("holds", folder.source["expects"][0])))
        if not missing and not _unpacking(folder.root / file).exists():
            continue
        if (folder.root / file).exists():
            folder.verify(file, archive["md5"])
        else:
            print(f"{folder.root}: fetching {file} for {', '.join(missing)}", file=sys.stderr, flush=True)
            url = archive["url"] if mirror is None else f"{mirror.rstrip('/')}/{file}"
            _download_archive(folder, url, file, archive["md5"])
        _unpack(folder.root / file, folder.root)
    return _complete(folder)


def _download_archive(folder: SourceFolder, url: str, file: str, md5: str) -> None:
    """Download to ``<file>.part``; the archive gets its name when its checksum is right."""
    part = folder.root / f"{file}.part"
    fix = f"set data.mirror in config/config.yaml, or put the file there by hand: {folder.root / file}"
    download(url, part, fix)
    if folder.source["check_md5"] and (found := md5_of(part)) != md5:
        part.unlink()  # the next run starts over
        raise InputError(
            f"{url}: the MD5 of what came is {found}, the publisher's is {md5}; run again, {fix}"
        )
    with writing(part):
        os.replace(part, folder.root / file)


def _unpack(archive: Path, root: Path) -> None:
    """Unpack ``archive`` (tar, compressed or not) into ``root``, beside what other archives have put there.

    Nothing is written outside ``root``: tarfile's filter "data" refuses such members, devices and links that
    lead out. Files of the same names are replaced. After a kill, the next run unpacks again.
    """
    print(f"unpack {archive.name}", file=sys.stderr, flush=True)
    try:
        with writing(root):
            _unpacking(archive).touch()
            with tarfile.open(archive) as tar:
                tar.extractall(root, filter="data")
            os.sync()  # the files before the marker goes, should the power fail
            _unpacking(archive).unlink()
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"{archive}: cannot be unpacked ({' '.join(str(error).split())}); remove it, so that it is "
            "fetched again, or get it from its publisher"
        ) from error


def _unpacking(archive: Path) -> Path:
    """An empty file that is there until all of ``archive`` has been unpacked."""
    return archive.with_name(f".{archive.name}.unpacking")


def main() -> None:
    """Get a source's upstream files, or verify those that are there."""
    parser = ArgumentParser(prog="python -m data_prep fetch", description=main.__doc__)
    parser.add_argument("--preset", required=True, help="scale: a file of config/presets")
    parser.add_argument("--source", required=True, help="a file of config/sources")
    parser.add_argument("--root", type=Path, required=True, help="the source's folder")
    parser.add_argument("--receipt", type=Path, required=True, help="JSON file to write: what is there")
    parser.add_argument("--mirror", help="fetch archives from MIRROR/<name of the archive>")
    options = parser.parse_args()
    source = load_source(options.preset, options.source)
    if source["generate"] is not None:
        raise InputError(
            f"config/presets/{options.preset}.yaml: sources.{options.source}.generate is set: this preset "
            "generates the files; choose another preset to fetch the publisher's"
        )
    write_json(options.receipt, fetch_source(options.source, source, options.root, options.mirror))
