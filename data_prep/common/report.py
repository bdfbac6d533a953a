"""The build report: what a store holds, beside the supplement's counts, and what was left out and why."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cld.runtime.files import write_json, write_text
from cld.runtime.markdown import table

PATHS_SHOWN = 20


def write_report(path: str | Path, facts: dict) -> None:
    """Write ``facts`` as Markdown to ``path`` and, with every bad path, as JSON beside it (``.json``)."""
    write_json(Path(path).with_suffix(".json"), facts)
    sections = [
        _heading(facts),
        _counts(facts["counts"]),
        _left_out(facts),
        _names(facts.get("names")),
        _problems(facts["problems"]),
        _converted(facts["converted"]),
        _geometry(facts.get("geometry", {})),
        *(_detail(title, rows) for title, rows in facts["details"].items()),
        _notes(facts["notes"]),
        _settings(facts["settings"]),
    ]
    write_text(path, "\n".join(section for section in sections if section))


def _heading(facts: dict) -> str:
    source = facts["source"]
    text = f"# Build of {facts['dataset']} ({facts['preset']}): {facts['status']}\n\n"
    if facts["status"] == "failed":
        text += "No store was written: too much of the source is bad. What was read until then:\n\n"
    return text + (
        f"- source: {source['root']}, {source['files']} files, {source['bytes'] / 1e6:.1f} MB, "
        f"SHA-256 {source['sha256']}\n"
    )


def _counts(counts: dict) -> str:
    splits, expected, by = counts["splits"], counts["expected"], counts["expected_by"]
    rows = [
        (name, *by_split.values(), sum(by_split.values())) for name, by_split in counts["classes"].items()
    ]
    if counts["unlabelled"] == splits:  # objects have classes here, images have none
        rows = []
    elif any(counts["unlabelled"].values()):
        rows.append(("(no label)", *counts["unlabelled"].values(), sum(counts["unlabelled"].values())))
    rows.append(("all", *splits.values(), sum(splits.values())))
    if expected:
        rows.append((by, *(expected.get(split) for split in splits), sum(expected.values())))
    if expected and (total := sum(splits.values())):
        rows.append(("all, share", *(f"{n / total:.1%}" for n in splits.values()), ""))
        shares = (expected.get(split, 0) / sum(expected.values()) for split in splits)
        rows.append((f"{by}, share", *(f"{share:.1%}" for share in shares), ""))
    return "## Images\n\n" + table(("class", *splits, "all"), rows)


def _left_out(facts: dict) -> str:
    if "dropped" not in facts:
        return ""
    rows = [(f"box {reason}", n) for reason, n in facts["dropped"].items()]
    rows += [("box clipped at its frame's border (kept)", facts["clipped"])]
    return "## Dropped by the settings\n\n" + table(("what", "count"), rows)


def _converted(converted: dict) -> str:
    return "## Converted\n\n" + table(("what", "images"), converted.items()) if converted else ""


def _names(names: dict | None) -> str:
    if names is None:
        return ""
    rows = [
        (spelling, f"read as {entry['class']}", entry["count"])
        for spelling, entry in names["renamed"].items()
    ]
    rows += [(spelling, "not kept", n) for spelling, n in names["not_kept"].items()]
    rows += [(spelling, "unknown, dropped", n) for spelling, n in names["unknown"].items()]
    return "## Names\n\n" + table(("spelling", "what became of it", "count"), rows) if rows else ""


def _problems(problems: dict) -> str:
    share = problems["bad"] / problems["total"] if problems["total"] else 0
    text = f"{problems['bad']} of {problems['total']} {problems['unit']} ({share:.2%}).\n"
    lines = []
    for reason, entries in problems["reasons"].items():
        paths = Counter(entry["path"] for entry in entries)
        why = {entry["path"]: entry["detail"].removeprefix(f"{entry['path']}: ") for entry in entries}
        lines += [f"- {reason}: {len(entries)}"]
        lines += [
            f"  - `{path}`" + (f" ({n} times)" if n > 1 else "") + (f": {why[path]}" if why[path] else "")
            for path, n in list(paths.items())[:PATHS_SHOWN]
        ]
        if len(paths) > PATHS_SHOWN:
            lines += [f"  - and {len(paths) - PATHS_SHOWN} more, listed in the JSON report"]
    listing = "\n" + "\n".join(lines) + "\n" if lines else ""
    return f"## Bad input, skipped\n\n{text}{listing}"


def _geometry(geometry: dict) -> str:
    def cell(measure: dict) -> str:
        known = "–" if measure["median"] is None else f"{measure['median']:.2f}"
        return f"{known} ({measure['unknown']} unknown)" if measure["unknown"] else known

    if all(measure["median"] is None for measures in geometry.values() for measure in measures.values()):
        return ""
    rows = [(name, *map(cell, measures.values())) for name, measures in geometry.items()]
    header = ("class", "distance, m", "visible fraction", "IoU with the 3D object")
    return "## Geometry, medians\n\n" + table(header, rows)


def _detail(title: str, rows: Sequence[dict]) -> str:
    return f"## {title}\n\n" + table(tuple(rows[0]), [tuple(row.values()) for row in rows]) if rows else ""


def _notes(notes: Sequence[str]) -> str:
    return "## Notes\n\n" + "".join(f"- {note}\n" for note in notes) if notes else ""


def _settings(settings: dict) -> str:
    rows = [
        (key, [" ".join(map(str, entry)) if isinstance(entry, list) else entry for entry in value])
        if isinstance(value, list)
        else (key, value)
        for key, value in settings.items()
    ]
    return "## Settings\n\n" + table(("setting", "value"), rows)
