"""Every command of README and documentation is one that its program understands, and its targets exist."""

import argparse
import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import pytest
from documents import PAGES, ROOT, code_blocks, copy_project
from snakemake.cli import parse_args

from cld.__main__ import COMMANDS

NOTING = (Path(__file__).parent / "commands.sh").read_text()
#: All blocks of commands but the tutorial's, which are carried out: test_tutorial.py.
BLOCKS = [
    pytest.param(block.text, id=f"{page}-{number}")
    for page in PAGES
    if page != "docs/tutorial.md"
    for number, block in enumerate(code_blocks((ROOT / page).read_text()))
    if block.language == "sh"
]
#: Begins a command within a sentence.
PROGRAMS = ("snakemake ", "cld ", "python -m data_prep ")

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A checkout with the files that docs/extending.md tells to write."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    for block in code_blocks((folder / "docs/extending.md").read_text()):
        if block.path and block.path.startswith("config/"):
            (folder / block.path).write_text(block.text)
    for name in (".venv/bin/activate", "images/train/a/1.png", "images/test/a/1.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    config = folder / "config/config.yaml"
    config.write_text(config.read_text().replace("paths: {}", "paths: {eth80: images}"))
    return folder


@cache
def planned(folder, configuration, *words):
    """The output of a dry run of snakemake with such a configuration; of each once."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", *words]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=-1, stderr=-2, text=True)
    assert done.returncode == 0, f"{words}\n{done.stdout}"


def run_main(program, words):
    """Run ``cld`` or ``data_prep`` in this process, to its end by sys.exit; what it prints."""
    module = import_module(f"{program}.__main__")
    with (
        patch.object(sys, "argv", [program, *words]),
        redirect_stdout(io.StringIO()) as printed,
        pytest.raises(SystemExit) as end,
    ):
        getattr(module, "dispatch", module.main)()
    assert end.value.code in (0, None), (program, *words)
    return printed.getvalue()


def read_arguments(program, words):
    """Have a command read its arguments, and no more."""

    def then_stop(parse):
        def parse_and_stop(parser, *arguments):
            namespace = parse(parser, *arguments)
            if arguments:  # the name of a subcommand, which reads the rest
                return namespace
            sys.exit()

        return parse_and_stop

    names = ("parse_args", "parse_intermixed_args")
    stopping = {name: then_stop(getattr(argparse.ArgumentParser, name)) for name in names}
    with patch.multiple(argparse.ArgumentParser, **stopping):
        run_main(program, words)


@pytest.mark.parametrize("text", BLOCKS)
def test_the_commands_of_a_block_exist(project, tmp_path, text):
    config, noted = project / "config/config.yaml", tmp_path / "noted"
    before = config.read_text()
    script = f"noted={noted}\n{NOTING}\n{text.replace('/home/me/photos', 'images/train')}"
    environment = os.environ | {"EDITOR": "true"}
    noted.touch()
    try:
        subprocess.run(["bash", "-c", script], cwd=project, env=environment, check=True)
        for line in noted.read_text().splitlines():
            program, *words = shlex.split(line)
            if program != "snakemake":
                read_arguments(program, words)
            elif words[0] != "--report":  # there is nothing to report on
                planned(project, config.read_text(), *words)
    finally:
        config.write_text(before)


def in_sentences(page):
    """What stands in backquotes in a page's text and begins as a command does."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.M | re.S)
    lines = (" ".join(line.split()) for line in re.findall(r"`([^`]+)`", text))
    return sorted({line for line in lines if line.startswith(PROGRAMS) and len(line.split()) > 1})


@cache
def targets():
    """The rules that can be asked for by name."""
    command = [sys.executable, "-m", "snakemake", "--list-rules", "--quiet", "all"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


@cache
def help_of(program, name):
    return run_main(program, [name, "--help"])


@pytest.mark.parametrize(("page", "line"), [(page, line) for page in PAGES for line in in_sentences(page)])
def test_a_command_in_a_sentence_is_understood(page, line):
    program, *words = shlex.split(line)
    if program == "snakemake":
        _, parsed = parse_args([word for word in words if word not in ("--profile", "slurm")])
        for setting in parsed.config or ():  # which takes all that follows, targets too
            assert "=" in setting, f"{setting} is taken for a setting: name it first"
        for target in parsed.targets:
            assert "/" in target or target in {*targets(), "TARGET"} or target.startswith("table_"), target
        return
    program, name, *words = words[1:] if program == "python" else (program, *words)
    assert program != "cld" or name in {*COMMANDS, "COMMAND"}
    options = {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)}
    assert not options or options <= set(re.findall(r"--[a-z][\w-]*", help_of(program, name)))


def test_the_list_of_commands_is_complete():
    text = (ROOT / "docs/commands.md").read_text()
    assert set(re.findall(r"^\| `cld ([\w-]+)` \|", text, re.M)) == set(COMMANDS)
    targets = {target for line in re.findall(r"^\| (`make .*?) \|", text, re.M) for target in line.split("`")}
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1]
    assert {f"make {name}" for name in phony.split()} <= targets
