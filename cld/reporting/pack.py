"""Pack a preset's results for others: ``cld pack --preset paper``.

An archive is a gzipped tar: the manifest first, then files by their names below ``results/<preset>``.
"""

import hashlib
import io
import json
import re
import tarfile
import textwrap
from collections.abc import Mapping
from pathlib import Path

from cld.config import CONFIG, is_generated, load_config, load_dataset, load_source
from cld.reporting.needed_runs import TABLE_OF_FIGURE, needed_runs
from cld.reporting.results_arguments import add_results_arguments
from cld.reporting.style import TEXT_WIDTH, dataset_name, plt
from cld.reporting.targets import FIGURE_KINDS, Targets, report_caption, tables
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError
from cld.runtime.files import atomic_path
from cld.runtime.provenance import provenance
from cld.training.run_folder import CONFIG as CONFIG_FILE
from cld.training.run_folder import LOG

#: Version of the layout. Another one is refused.
FORMAT = 1
#: The first member: ``format``, ``preset``, ``code``, ``date``, and ``files``, the SHA-256 of each by name.
MANIFEST = "manifest.json"
#: The figures that show images; the others are drawn from scores and cells.
IMAGES_OF = {"fig_a1": "kitchen_hc", "fig_a3": "imagenet100"}

_FILES = re.compile(
    r"scores/[^/]+/[^/]+\.json|cells/[^/]+/[^/]+/[^/]+\.json|runs/[^/]+/(config\.yaml|log\.csv)"
    r"|figures/\w+\.(png|pdf|csv)|config/([a-z]+/)?[\w-]+\.yaml"
)


def is_allowed(name: str) -> bool:
    """Whether an archive may hold a file of this name."""
    return bool(_FILES.fullmatch(name)) and not {".", ".."} & set(name.split("/"))


def is_restricted(preset: str, dataset: str) -> bool:
    """Whether a dataset's images must not be passed on: got by hand from their publisher, or one's own."""
    source = load_dataset(preset, dataset)["source"]
    return load_source(preset, source)["by_hand"] is not None and not is_generated(preset, dataset)


def main() -> None:
    """Write one small file from which others render a preset's tables and figures: cld unpack, snakemake.

    It has scores, cells, settings and logs by epoch of the runs that tables need, the configuration, and
    the figures that show images: no checkpoints and no stores. Where a dataset's images must not be passed
    on, the figure is replaced by a note; the CSV of what it shows stays.
    """
    parser = ArgumentParser(prog="cld pack", description=main.__doc__)
    add_results_arguments(parser)
    parser.add_argument("--out", type=Path, help="the archive; default: cld-<preset>.tar.gz")
    args = parser.parse_args()
    out = args.out or Path(f"cld-{args.preset}.tar.gz")
    packed, missing = contents(args.preset, Path(args.results))
    write(out, args.preset, packed)
    print(f"{out}: {len(packed)} files, {out.stat().st_size / 1e6:.1f} MB")
    if missing:
        print(
            f"missing: {len(missing)} files that all_tables and all_figures need, such as {missing[0]}; "
            "what needs them cannot be rendered elsewhere: run snakemake, then pack again"
        )


def contents(preset: str, results: Path) -> tuple[dict[str, Path | bytes], list[str]]:
    """What an archive holds, by name, and the names of what the supplement's tables and figures lack.

    Raises:
        InputError: no score exists.
    """
    folder, known = results / preset, tables(preset)
    targets = Targets({**load_config(), "results": str(results)})
    of_supplement = {*targets.supplement_tables(preset), TABLE_OF_FIGURE["fig_a2"]}
    wanted: dict[str, bool] = {}  # by name, whether the supplement needs it
    for table in known.values():
        needed = needed_runs([table], preset, with_evaluations=False)
        paths = [*needed.scores, *(cell.path for cell in table.cells.values())]
        paths += [f"{preset}/runs/{run}/{file}" for run in needed.runs for file in (CONFIG_FILE, LOG)]
        for path in paths:
            name = path.removeprefix(f"{preset}/")
            wanted[name] = wanted.get(name, False) or table.name in of_supplement
    for path in targets.choice_scores(preset) if "table_a3" in known else ():
        wanted.setdefault(str(Path(path).relative_to(folder)), False)
    figures = [name for name in targets.supplement_figures(preset) if name in IMAGES_OF]
    wanted |= {f"figures/{figure}.{kind}": True for figure in figures for kind in FIGURE_KINDS}

    packed: dict[str, Path | bytes] = {name: folder / name for name in wanted if (folder / name).is_file()}
    if not any(name.startswith("scores/") for name in packed):
        raise InputError(f"{folder}: has no scores that tables need; name the preset and --results")
    missing = [name for name, is_needed in wanted.items() if is_needed and name not in packed]
    for figure in figures:
        for kind in ("png", "pdf") if is_restricted(preset, IMAGES_OF[figure]) else ():
            packed[f"figures/{figure}.{kind}"] = note(preset, figure, kind)
    for file in sorted(CONFIG.rglob("*.yaml")):
        name = f"config/{file.relative_to(CONFIG).as_posix()}"
        if is_allowed(name) and name != "config/config.yaml":  # which names one's own folders
            packed[name] = file
    return packed, missing


def note(preset: str, figure: str, kind: str) -> bytes:
    """The file that stands in for a figure whose images must not be passed on."""
    title, dataset = report_caption(preset, figure)["title"], dataset_name(IMAGES_OF[figure])
    text = (
        f"{title} shows images of {dataset}, which must not be passed on: packed results lack them. "
        f"{figure}.csv lists what it shows. Where the data are: remove this file, then snakemake {figure}"
    )
    drawn = plt.figure(figsize=(TEXT_WIDTH, 0.8))
    drawn.text(0.5, 0.5, textwrap.fill(text, 100), ha="center", va="center")
    content = io.BytesIO()
    drawn.savefig(content, format=kind, metadata={"CreationDate": None} if kind == "pdf" else {})
    plt.close(drawn)
    return content.getvalue()


def write(out: Path, preset: str, packed: Mapping[str, Path | bytes]) -> None:
    """Write an archive atomically. Its files keep their times, by which Snakemake tells what is older."""
    made = provenance()
    content = {name: file if isinstance(file, bytes) else file.read_bytes() for name, file in packed.items()}
    times = {name: file.stat().st_mtime for name, file in packed.items() if isinstance(file, Path)}
    manifest = {
        "format": FORMAT,
        "preset": preset,
        "code": made["code"],
        "date": made["date"],
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
    }
    with atomic_path(out) as temporary, tarfile.open(temporary, "w:gz") as archive:
        for name, data in {MANIFEST: json.dumps(manifest, indent=1).encode(), **content}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), times.get(name, max(times.values()))
            archive.addfile(member, io.BytesIO(data))
