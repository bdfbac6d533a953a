"""Long steps that are killed, or meet full disks, damage, clocks that jump: the same command finishes.

What it then has made is what an undisturbed one makes, to the bit. CLD_FAULT_MOMENTS is how many random
moments each step is killed at: 1 where nothing is said, 20 in ``make test-faults``.
"""

import ctypes
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import time
import zipfile
from functools import partial

import pytest
import torch
from tiny_world import Outcome, command
from trainings import assert_same_run

from cld.runtime.files import read_json
from cld.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.faults

MOMENTS = int(os.environ.get("CLD_FAULT_MOMENTS", 1))
# Processes are forked from a server that has imported PyTorch but never computed with it.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["cld.training.loop", "cld.evaluation.protocols"])
METHODS = ("npid", "moco", "moco_v2", "infomin", "byol")

JPEGS = ("workers=2", "optimiser.batch_size=4", "cld.n_groups=2", "image_size=16")


def steps():
    """Every long step: a function of the world and a folder for results that gives its command."""
    for dataset, source, kind in (("cifar10", "cifar10", "arrays"), ("voc07", "voc", "JPEGs")):
        yield f"build of {kind}", partial(build, dataset, source)
    for method in METHODS:
        yield method, partial(pretrain, method, "cifar10", "watch.knn_every=1")
    yield "npid of JPEGs", partial(pretrain, "npid", "voc07", *JPEGS)
    for protocol, dataset in (("linear", "cifar10"), ("linear_published", "cifar10"), ("detection", "voc07")):
        yield protocol, partial(evaluate, protocol, dataset)
    yield (
        "semisup",
        lambda world, out: ["cld", "semisup", "trial", *world.trial_arguments(out / "trial.json")],
    )


def build(dataset, source, world, out):
    return ["data_prep", "build", *world.build_arguments(dataset, source, out / "s")]


def pretrain(method, dataset, *rest):
    *overrides, world, out = rest
    overrides.append("checkpoint_every_s=0")
    return ["cld", *world.train_arguments(method, out / "run", *overrides, dataset=dataset)]


def evaluate(protocol, dataset, world, out):
    return ["cld", *world.evaluate_arguments(protocol, out / "score.json", dataset)]


STEPS = dict(steps())


def in_child(world, argv, before, results):
    """Run a command in this process; tell how it ended, and how many calls of functions it took."""
    torch.set_num_threads(1)
    with world.entered():
        calls = [0]
        before(calls)
        done = command(*argv)
        sys.setprofile(None)
        results.send((*done, calls[0]))


def run(world, argv, before=id):
    """How a command ends in a process of its own, and its number of calls; ``before`` is done in it first."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=in_child, args=(world, argv, before, sender))
    process.start()
    sender.close()
    try:
        *done, calls = receiver.recv()
    except EOFError:
        done, calls = (None, ""), None
    process.join(60)
    return Outcome(*done) if calls is not None else Outcome(process.exitcode, ""), calls


def counted(calls, last=None):
    """Count calls of functions; at the ``last`` one the process kills itself."""

    def count(frame, event, argument):
        calls[0] += 1
        if calls[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


def killed_at(last):
    return partial(counted, last=last)


def content(out):
    """What a step made, by file; of scores and networks what does not depend on the machine's speed."""
    made = {}
    for path in out.glob("*"):
        if path.name in ("s.h5", "s.h5.sha256", "s.manifest.csv"):
            made[path.name] = path.read_bytes()
        elif path.suffix == ".json" and "report" not in path.name:
            made[path.name] = {
                key: value for key, value in read_json(path, "").items() if key != "provenance"
            }
        elif path.suffix == ".pt" and ".partial" not in path.name:
            network = load_checkpoint(path)["network"]
            made[path.name] = {name: value.numpy().tobytes() for name, value in network.items()}
    return made


def assert_as_undisturbed(out, expected):
    """Nothing else is there either: no half of a file, no lock, no state to resume from."""
    assert content(out) == content(expected)
    assert {path.name for path in out.iterdir()} == {path.name for path in expected.iterdir()}
    if (expected / "run").exists():
        assert_same_run(out / "run", expected / "run")


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory):
    """``undisturbed(step)``: what it makes, and the number of its calls; each is done once."""
    made = {}

    def of(step):
        if step not in made:
            out = tmp_path_factory.mktemp("undisturbed")
            done, calls = run(world, STEPS[step](world, out), counted)
            assert done.status == 0, done.stderr
            made[step] = out, calls
        return made[step]

    return of


def assert_finishes(world, step, out, expected):
    done, _ = run(world, STEPS[step](world, out))
    assert done.status == 0, done.stderr
    assert_as_undisturbed(out, expected)


#: tests/cld/training/test_resume.py kills every method's training, at moments that were chosen.
IN_SHORT = [step for step in STEPS if not step.startswith(METHODS)]


@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.parametrize("step", STEPS if MOMENTS > 1 else IN_SHORT)
def test_killed_at_a_random_moment(world, undisturbed, tmp_path, step, moment):
    expected, calls = undisturbed(step)
    last = random.Random(f"{step} {moment}").randrange(calls)
    done, _ = run(world, STEPS[step](world, tmp_path), killed_at(last))
    assert done.status in (-signal.SIGKILL, 0)  # 0: that time it took fewer calls
    whole = content(expected)
    assert all(whole[name] == value for name, value in content(tmp_path).items() if name in whole)
    assert_finishes(world, step, tmp_path, expected)


@pytest.mark.parametrize("step", ["build of arrays", "build of JPEGs", "moco", "linear_published", "semisup"])
def test_a_full_disk(world, undisturbed, tmp_path, step):
    """As if it was: no file may become larger than half of the largest one that the step writes."""
    expected, _ = undisturbed(step)
    most = max(path.stat().st_size for path in expected.rglob("*") if path.is_file()) // 2
    done, _ = run(world, STEPS[step](world, tmp_path), partial(limited, most))
    assert done.status == 2 and "cannot be written (File too large); free some space" in done.stderr, done
    assert done.fault is None
    assert_finishes(world, step, tmp_path, expected)


def limited(most, _):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


@pytest.mark.parametrize("step", ["build of arrays", "build of JPEGs", "npid", "linear", "semisup"])
def test_results_that_may_not_be_written(world, undisturbed, tmp_path, step):
    expected, _ = undisturbed(step)
    tmp_path.chmod(0o555)
    done, _ = run(world, STEPS[step](world, tmp_path), without_privileges)
    assert done.status == 2 and "(Permission denied); make its folder writable" in done.stderr, done
    assert done.fault is None and list(tmp_path.iterdir()) == []
    tmp_path.chmod(0o755)
    assert_finishes(world, step, tmp_path, expected)


def without_privileges(_):
    """Take from root what lets it write everywhere."""
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None, use_errno=True).capset(header, none) == 0


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)


def test_a_flipped_byte_in_a_state(world, undisturbed, tmp_path):
    """Training does not go on from it; without it, it begins anew."""
    expected, calls = undisturbed("moco")
    run(world, STEPS["moco"](world, tmp_path), killed_at(int(0.8 * calls)))
    state = tmp_path / "run/partial.pt"
    with zipfile.ZipFile(state) as archive:
        largest = archive.read(max(archive.infolist(), key=lambda entry: entry.file_size))
    flip(state, state.read_bytes().index(largest) + len(largest) // 2)
    done, _ = run(world, STEPS["moco"](world, tmp_path))
    assert done.fault is None and f"{state}: cannot be read" in done.stderr and "delete it" in done.stderr
    state.unlink()
    assert_finishes(world, "moco", tmp_path, expected)


def test_a_flipped_byte_in_a_store(world, undisturbed, tmp_path):
    """Neither trained on nor scored; built again, it is the store that it was."""
    expected, _ = undisturbed("npid")
    store = world.path("stores/cifar10.h5")
    good = store.read_bytes()
    flip(store, len(good) // 2)
    for step in ("npid", "linear"):
        done, _ = run(world, STEPS[step](world, tmp_path))
        assert done.fault is None and f"{store}: " in done.stderr and "build" in done.stderr, done
    done, _ = run(
        world, ["data_prep", "build", *world.build_arguments("cifar10", "cifar10", store.with_suffix(""))]
    )
    assert done.status == 0 and store.read_bytes() == good
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    assert_finishes(world, "npid", tmp_path, expected)


def test_a_truncated_score_and_a_truncated_cell(world, tmp_path):
    score, cell = tmp_path / "score.json", world.path("cells/table_a1/8/kmeans.json")
    evaluate = ["cld", *world.evaluate_arguments("knn", score)]
    average = ["cld", "cell", *world.tiny("--table", "table_a1", "--row", "8", "--column", "kmeans")]
    average += ["--scores", score, "--out", cell]
    tables = ["cld", "page", "--now", "--tables", "table_a1", "--out", tmp_path / "page.html"]
    for argv in (evaluate, average, tables):
        assert run(world, argv)[0].status == 0
    whole, averaged = content(tmp_path), json.loads(cell.read_text())["value"]
    for path, reader, maker in ((score, average, evaluate), (cell, tables, average)):
        os.truncate(path, 200)
        done, _ = run(world, reader)
        assert done.fault is None and done.status == 2 and f"{path}: cannot be read" in done.stderr, done
        for argv in (maker, reader):
            assert run(world, argv)[0].status == 0
    assert content(tmp_path) == whole and json.loads(cell.read_text())["value"] == averaged


def jumping(calls):
    """A clock that goes back and forth by years."""
    now, rng = time.time, random.Random(0)
    time.time = lambda: now() + rng.choice([-1e9, 0, 1e8])


@pytest.mark.parametrize("step", ["build of JPEGs", "byol", "linear_published"])
def test_a_clock_that_jumps(world, undisturbed, tmp_path, step):
    """While the step runs; and what a killed one left, lock and state, is of the future, then of the past."""
    expected, calls = undisturbed(step)
    done, _ = run(world, STEPS[step](world, tmp_path / "jumps"), jumping)
    assert done.status == 0, done.stderr
    assert_as_undisturbed(tmp_path / "jumps", expected)
    for years in (10, -10):
        out = tmp_path / str(years)
        run(world, STEPS[step](world, out), killed_at(int(0.7 * calls)))
        for path in out.rglob("*"):
            os.utime(path, (time.time() + years * 3e7,) * 2)
        assert_finishes(world, step, out, expected)


def test_a_worker_that_the_system_kills(world, undisturbed, tmp_path):
    """For lack of memory, say: one line, and the same command finishes."""
    expected, _ = undisturbed("npid of JPEGs")
    done, _ = run(world, STEPS["npid of JPEGs"](world, tmp_path), killing_a_worker)
    assert done.status == 2 and "a worker process died, most likely for lack of memory" in done.stderr, done
    assert_finishes(world, "npid of JPEGs", tmp_path, expected)


def killing_a_worker(_):
    """Kill the first worker when the fourth step is over."""
    steps, step = [], torch.optim.SGD.step

    def counting(*arguments, **options):
        steps.append(step(*arguments, **options))
        if len(steps) == 3:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
            time.sleep(0.2)

    torch.optim.SGD.step = counting
