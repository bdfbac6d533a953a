"""What a build wrote beside the store."""

import csv
import json

from data_prep.common.build_record import Target


def manifest_rows(target: Target) -> list[dict[str, str]]:
    with open(target.manifest, newline="") as file:
        return list(csv.DictReader(file))


def facts(target: Target) -> dict:
    """The report, as JSON."""
    return json.loads(target.report.with_suffix(".json").read_text())
