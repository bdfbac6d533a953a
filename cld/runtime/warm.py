"""Start commands fast: ``python -m cld.runtime.warm train ...`` is ``cld train ...`` with PyTorch loaded.

Loading PyTorch takes seconds, which is most of a short job. A workflow on one machine therefore starts a
server (:func:`start`), which loads the libraries and forks for each command. The fork has the command's
arguments, environment, folder and standard streams. Without a server a command runs in its own process.

Limits: Linux; commands of one thread (OMP_NUM_THREADS=1), since a process with more cannot be forked safely.
Commands close what they open: a fork ends without atexit handlers and the interpreter's own end, which would
take half a second. Snakemake's benchmark files have a command's time, not its memory: a fork is no child of
the job.
"""

import fcntl
import gc
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from importlib import import_module

from cld.runtime.signals import STOPPING

#: Environment variable with the path of the server's socket.
ADDRESS = "CLD_WARM"
#: Not the project's own code, so that each command reads the code as it is then.
LIBRARIES = (
    "torch",
    "torch.utils.data",
    "torch.utils.tensorboard",
    "torchvision",
    "torchvision.transforms.v2",
    "sklearn.metrics",
    "h5py",
    "yaml",
    "jsonschema",
    "PIL.Image",
    "pandas",
    "matplotlib.pyplot",
)
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
#: Passed on to the fork.
SIGNALS = (*STOPPING, signal.SIGHUP)

_servers: list[subprocess.Popen] = []  # keeps their stdin open


def start() -> None:
    """Start a server for the commands that this process starts. It ends with this process."""
    if sys.platform != "linux":
        return
    folder = tempfile.mkdtemp(prefix="cld-warm-")  # only its owner can enter
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        try:
            listening.bind(f"{folder}/socket")
        except OSError:  # the kernel limits the path to 107 bytes
            shutil.rmtree(folder)
            return
        listening.listen(128)
        server = subprocess.Popen(
            [sys.executable, "-m", "cld.runtime.warm", "--listen", str(listening.fileno()), folder],
            stdin=subprocess.PIPE,
            pass_fds=[listening.fileno()],
            env={**os.environ, **ONE_THREAD},
            start_new_session=True,  # Ctrl-C reaches the commands, which pass it on
        )
    _servers.append(server)
    os.environ[ADDRESS] = f"{folder}/socket"


def listen(listening: socket.socket, folder: str) -> None:
    """Load the libraries, then fork for each command until stdin ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leaves no zombies
    for name in LIBRARIES:
        import_module(name)
    gc.freeze()  # otherwise a fork's first collection would copy all that is loaded
    while listening in select.select([listening, sys.stdin], [], [])[0]:
        client, _ = listening.accept()
        if not os.fork():
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            run_forked(client)
        client.close()
    shutil.rmtree(folder)


def run_forked(client: socket.socket) -> None:
    """Run a client's command in this fork, send its exit status, and end the process."""
    request, streams, *_ = socket.recv_fds(client, 1 << 20, 3)
    command, folder, environ = json.loads(request)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    tempfile.tempdir = None  # TMPDIR may differ
    # the kernel sends SIGTERM when the client is gone
    fcntl.fcntl(client, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(client, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(client, fcntl.F_SETFL, os.O_ASYNC)
    client.send(str(os.getpid()).encode())
    status = 0
    try:
        run(command)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    client.send(str(status).encode())
    os._exit(status)


def run_in_fork(command: list[str]) -> int | None:
    """Run a command in a fork of the server; gives its exit status, None if it could not be started."""
    if ADDRESS not in os.environ or not ONE_THREAD.items() <= os.environ.items():
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until they can be passed on
        try:
            server.connect(os.environ[ADDRESS])
            request = json.dumps([command, os.getcwd(), dict(os.environ)]).encode()
            socket.send_fds(server, [request], [0, 1, 2])
            process = int(server.recv(64))
            # a signal is read from a socket: one that comes just before `recv` would wait for it
            woken, wakes = socket.socketpair()
            wakes.setblocking(False)
            signal.set_wakeup_fd(wakes.fileno())
            for number in SIGNALS:
                signal.signal(number, lambda *_: None)
        except (OSError, ValueError):
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        while server not in select.select([server, woken], [], [])[0]:
            for received in woken.recv(64):
                with suppress(ProcessLookupError):  # the fork has just ended
                    os.kill(process, received)
        status = server.recv(64)  # nothing from a fork that was killed
    return int(status or 128 + signal.SIGKILL)


def run(command: list[str]) -> None:
    """Run ``cld COMMAND ...`` in this process."""
    sys.argv = ["cld", *command]
    import_module("cld.__main__").main()


def main() -> None:
    """Run a command, in a fork of the server if there is one."""
    if sys.argv[1:2] == ["--listen"]:
        listen(socket.socket(fileno=int(sys.argv[2])), sys.argv[3])
    elif (status := run_in_fork(sys.argv[1:])) is None:
        run(sys.argv[1:])
    else:
        sys.exit(status)


if __name__ == "__main__":
    main()
