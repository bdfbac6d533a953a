"""Unpack the results that others have packed: ``cld unpack ARCHIVE``."""

import gzip
import hashlib
import json
import os
import tarfile
import tempfile
import zlib
from pathlib import Path

from cld.config import CONFIG, load_config, validate
from cld.reporting.pack import FORMAT, MANIFEST, is_allowed
from cld.reporting.results_arguments import folder
from cld.reporting.tables.render import code_version
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError
from cld.runtime.files import writing
from cld.runtime.provenance import provenance

#: Bytes of an archive when it is unpacked, at most; one of the paper preset has some dozen MB.
LIMIT = 1 << 30


def main() -> None:
    """Put packed results into a results folder, where snakemake all_tables all_figures renders them.

    Nothing that is there is replaced. What differs from this checkout is printed: the version of the code,
    and files of the configuration, which lie in config/ beside the results.
    """
    parser = ArgumentParser(prog="cld unpack", description=main.__doc__)
    results = load_config()["results"]
    parser.add_argument("archive", type=Path, help="what cld pack wrote")
    parser.add_argument("--results", type=folder, default=results, help=f"default: {results}")
    args = parser.parse_args()
    manifest = unpack(args.archive, Path(args.results))
    preset = manifest["preset"]
    unpacked = Path(args.results) / preset
    print(f"{len(manifest['files'])} files in {unpacked}", *differences(manifest, unpacked), sep="\n")
    print(f"render them: snakemake --cores 1 all_tables all_figures --config preset={preset}")


def unpack(archive: Path, results: Path) -> dict:
    """Unpack an archive of results into ``results/<preset>``, all of it or nothing.

    Returns:
        Its manifest.

    Raises:
        InputError: it is no such archive, is damaged, holds what it should not, or would replace other files.
    """
    with writing(results):
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpack-", dir=results) as staging:
            manifest = _extract(archive, Path(staging))
            folder = results / manifest["preset"]
            for name in manifest["files"]:
                there = folder / name
                if there.exists() and there.read_bytes() != (Path(staging) / name).read_bytes():
                    raise InputError(f"{there}: is there, with other content; name another folder: --results")
            for name in manifest["files"]:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(Path(staging) / name, folder / name)
    return manifest


def differences(manifest: dict, folder: Path) -> list[str]:
    """In what an archive that was unpacked into ``folder`` differs from this checkout, in lines."""
    lines, here = [], provenance()["code"]
    if manifest["code"] != here:
        lines.append(f"packed by cld {code_version(manifest['code'])}; this is {code_version(here)}")
    names = [name.removeprefix("config/") for name in manifest["files"] if name.startswith("config/")]
    missing = [name for name in names if not (CONFIG / name).is_file()]
    packed = folder / "config"
    others = [n for n in names if n not in missing and (packed / n).read_bytes() != (CONFIG / n).read_bytes()]
    for said, changed in (("other content here", others), ("not here", missing)):
        if changed:
            lines.append(f"configuration, {said}: {', '.join(changed)} (the archive's: {packed})")
    return lines


def _extract(archive: Path, staging: Path) -> dict:
    """Unpack an archive into an empty folder, and hold it to its manifest."""
    try:
        with _Limited(archive) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            members = iter(tar)
            manifest = _manifest(tar, next(members, None), archive)
            awaited = dict(manifest["files"])
            for member in members:
                digest = awaited.pop(member.name, None)
                if digest is None or not _is_plain(member) or not is_allowed(member.name):
                    raise ValueError(f"it has {member.name[:80]!r}, which no such archive has")
                tar.extract(member, staging, filter="data")
                if hashlib.sha256((staging / member.name).read_bytes()).hexdigest() != digest:
                    raise ValueError(f"{member.name} does not match its checksum")
            if awaited:
                raise ValueError(f"{next(iter(awaited))} is missing")
    except FileNotFoundError:
        raise InputError(f"{archive}: no such file; name what cld pack wrote") from None
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{archive}: not unpacked ({reason}); get it again from who packed it") from None
    return manifest


def _manifest(tar: tarfile.TarFile, first: tarfile.TarInfo | None, archive: Path) -> dict:
    if first is None or first.name != MANIFEST or not _is_plain(first):
        raise ValueError("no archive of cld pack: it does not begin with a manifest")
    manifest = json.loads(tar.extractfile(first).read())
    validate(manifest, "archive", f"{archive}: {MANIFEST}")
    if manifest["format"] != FORMAT:
        version = code_version(manifest["code"])
        raise ValueError(f"of format {manifest['format']}, by cld {version}; this version reads {FORMAT}")
    return manifest


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.isreg() and not member.issparse()  # a sparse file may claim any size


class _Limited(gzip.GzipFile):
    """A gzipped file's content, which ends with an error where it is larger than LIMIT."""

    def read(self, size: int = -1) -> bytes:
        if self.tell() > LIMIT:
            raise ValueError(f"unpacked it has more than {LIMIT >> 20} MB")
        return super().read(size)
