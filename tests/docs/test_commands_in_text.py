"""Every command within a sentence of README and docs is one that its program understands."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from snakemake.cli import parse_args

from cld.__main__ import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "config/README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]
#: Begins a command.
PROGRAMS = ("snakemake ", "cld ", "python -m data_prep ")


def commands(page):
    """What stands in backquotes in a page's text and begins as a command does; blocks: test_commands.py."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.M | re.S)
    lines = (" ".join(line.split()) for line in re.findall(r"`([^`]+)`", text))
    return sorted({line for line in lines if line.startswith(PROGRAMS) and len(line.split()) > 1})


@cache
def targets():
    """The rules that can be asked for by name."""
    command = [sys.executable, "-m", "snakemake", "--list-rules", "--quiet", "all"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


@cache
def help_of(command):
    call = [sys.executable, "-m", "cld" if command in COMMANDS else "data_prep", command, "--help"]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("page", "line"), [(page, line) for page in PAGES for line in commands(page)])
def test_a_command_is_understood(page, line):
    program, *words = shlex.split(line)
    if program == "snakemake":
        _, parsed = parse_args([word for word in words if word not in ("--profile", "slurm")])
        for setting in parsed.config or ():  # which takes all that follows, targets too
            assert "=" in setting, f"{setting} is taken for a setting: name it first"
        for target in parsed.targets:
            assert "/" in target or target in {*targets(), "TARGET"} or target.startswith("table_"), target
        return
    name, *words = words[2:] if program == "python" else words
    if program == "cld":
        assert name in {*COMMANDS, "COMMAND"}
    options = {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)}
    assert not options or options <= set(re.findall(r"--[a-z][\w-]*", help_of(name)))
