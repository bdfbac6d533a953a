"""What the benchmarks write; what they measure is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(script, *arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])}
    command = [sys.executable, *map(str, [script, *arguments])]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rows_become_a_page_with_verdicts(tmp_path):
    (tmp_path / "docs").mkdir()
    rows = [("a", "its product", 1.504, "<= 1.5"), ("b", "its product", 1.6, "<= 1.5"), ("c", "PIL", 2.0)]
    code = f"from timing import Row, record; record('Section', 'About it.', [Row(*row) for row in {rows}])"
    run("-c", code, cwd=tmp_path)
    assert json.loads((tmp_path / ".bench/Section.json").read_text())["rows"][0]["what"] == "a"
    run(ROOT / "benchmarks/performance_page.py", cwd=tmp_path)
    page = (tmp_path / "docs/performance.md").read_text()
    assert "| a | its product | 1.50 | ≤ 1.5 | met |" in page
    assert "| b | its product | 1.60 | ≤ 1.5 | missed |" in page
    assert "| c | PIL | 2.00 |  |  |" in page
    assert "`make bench-gpu`, the acceptance on a GPU, has not run" in page


@pytest.mark.slow
def test_the_acceptance_on_a_gpu_runs_on_a_cpu(tmp_path):
    script = ROOT / "benchmarks/gpu_acceptance.py"
    run(script, "--device", "cpu", "--quick", "--out", tmp_path / "page.md", cwd=ROOT)
    page = (tmp_path / "page.md").read_text()
    assert page.count("passed") == 10 and "FAILED" not in page
