"""What a build wrote beside its store."""

import csv
import json


def facts(target) -> dict:
    """The report, as JSON has it."""
    return json.loads(target.report.with_suffix(".json").read_text())


def manifest(target) -> list[dict]:
    """The manifest's rows."""
    with open(target.manifest, newline="") as file:
        return list(csv.DictReader(file))
