"""The tiny world, and ``tried``: an input that must end in success or in one line and status 2."""

import os
import shlex
import shutil
from collections.abc import Iterator

import pytest
from tiny_world import Outcome, World, command, process


@pytest.fixture(scope="session")
def made_world(tmp_path_factory) -> World:
    """Everything made."""
    made = World(tmp_path_factory.mktemp("world"))
    with made.entered():
        made.build()
    return made


@pytest.fixture
def world(made_world) -> Iterator[World]:
    """Everything made; this process reads its configuration while a test of this folder runs."""
    with made_world.entered():
        yield made_world


class Tried:
    """``tried(what, *argv)`` runs a command and counts how it ends; the test's end tells what was wrong.

    A refusal may leave no file in ``world.out``, and nothing may leave half of one anywhere.
    """

    def __init__(self, world: World):
        self.world, self.statuses, self.faults = world, [], []
        self.folders, self.unchanged = (world.out, world.folder / "odd"), None

    def __call__(self, what: object, *argv: object, launcher: list[str] | None = None) -> Outcome:
        done, out = (process(launcher, *argv) if launcher else command(*argv)), self.world.out
        self.statuses.append(done.status)
        left = [path for path in out.rglob("*") if path.is_file()] if done.status else []
        left = [path for path in left if ".report." not in path.name]  # which say what was bad
        hidden = self.world.folder.rglob(".*")
        left += [path for path in hidden if ".tmp" in path.name or path.suffix == ".partial"]
        fault = done.fault or (left and f"left {', '.join(map(str, left))}")
        for path in left:
            path.unlink(missing_ok=True)
        if fault:
            told = "\n".join(done.stderr.splitlines()[-4:])[-600:]
            self.faults.append(f"{what}: {shlex.join(map(str, argv))}\n  {fault}\n{told}")
        return done

    def fresh(self) -> None:
        """Empty ``world.out``, be in a folder of it, and have odd files that nothing has written over."""
        out, odd = self.folders
        if self._lying() != self.unchanged:
            shutil.rmtree(out, ignore_errors=True)
            shutil.rmtree(odd, ignore_errors=True)
            shutil.copytree(self.world.folder / "odd files", odd)
            (out / "here").mkdir(parents=True)
            self.unchanged = self._lying()
        os.chdir(out / "here")

    def _lying(self) -> list:
        """What lies in both folders, and when each file was written."""
        found = [path for folder in self.folders for path in folder.rglob("*")]
        return sorted((path, path.is_file() and path.stat().st_mtime_ns) for path in found)


@pytest.fixture
def tried(world, request) -> Iterator[Tried]:
    made = Tried(world)
    yield made
    succeeded, refused = (made.statuses.count(status) for status in (0, 2))
    request.node.user_properties.append(("inputs", (len(made.statuses), refused, succeeded)))
    n = len(made.faults)
    assert n == 0, f"{n} of {len(made.statuses)} inputs:\n" + "\n".join(made.faults[:200])
