"""Make ``docs/performance.md`` of what the benchmarks recorded: ``python benchmarks/performance_page.py``."""

import json
import os
from pathlib import Path

from timing import ROWS, Row

from cld.runtime.provenance import provenance

PAGE, GPU_PAGE = Path("docs/performance.md"), Path("docs/performance_gpu.md")
VERDICTS = {True: "met", False: "missed", None: ""}


def main() -> None:
    """Write the page."""
    import numpy  # noqa: F401  versions are those of loaded libraries
    import torchvision  # noqa: F401

    facts = provenance()
    versions = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    gpu = (
        "On a GPU: [`performance_gpu.md`](performance_gpu.md)."
        if GPU_PAGE.exists()
        else "No GPU was at hand: `make bench-gpu`, the acceptance on a GPU, has not run."
    )
    lines = [
        "# Performance",
        "",
        f"Made by `make bench` on {facts['date'][:10]}, commit {(facts['code']['commit'] or '?')[:10]}, "
        f"on {facts['device']}, {os.cpu_count()} cores, one of them used but where it says so; {versions}. "
        f"Ratios are medians of runs in turns. {gpu}",
    ]
    sections = [json.loads(file.read_text(encoding="utf-8")) for file in ROWS.glob("*.json")]
    for section in sorted(sections, key=lambda section: section["at"]):
        lines += ["", f"## {section['section']}", "", section["about"], ""]
        if section["picture"]:
            lines += [f"![{section['section']}]({section['picture']})", ""]
        lines += ["| what | yardstick | ratio | target | | |", "| --- | --- | ---: | --- | --- | --- |"]
        for row in (Row(**row) for row in section["rows"]):
            verdict = VERDICTS[row.is_met]
            target = row.target.replace("<=", "≤").replace(">=", "≥")
            lines.append(
                f"| {row.what} | {row.yardstick} | {row.ratio:.2f} | {target} | {verdict} | {row.note} |"
            )
    PAGE.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
