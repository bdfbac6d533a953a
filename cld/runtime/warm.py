"""Commands that find their libraries loaded: ``python -m cld.runtime.warm train ...``.

Loading PyTorch takes seconds: most of a short job. So a workflow on one machine starts one process that loads
it (:func:`start`), and each command runs in a copy of that process, with arguments, environment, folder and
output of its own. Where there is no such process, or it has another interpreter or other code than this one,
the command runs in this process, as ``cld train ...`` would.

Snakemake's benchmark files have such a command's time, but not its memory: a copy is no child of the job.
"""

import atexit
import gc
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from cld.runtime.signals import STOPPING

#: Names the socket at which the process listens.
ADDRESS = "CLD_WARM"
#: What it loads: libraries alone, so that a command's own code is always read anew.
LIBRARIES = (
    "torch",
    "torch.utils.data",
    "torch.utils.tensorboard",
    "sklearn.metrics",
    "h5py",
    "yaml",
    "jsonschema",
    "PIL.Image",
    "pandas",
    "matplotlib.pyplot",
)
#: One thread: a process with more cannot be copied safely, and neither does a command get more than one.
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
#: Passed on to a command: what stops it, and the end of its terminal.
SIGNALS = (*STOPPING, signal.SIGHUP)
ACCEPTED = b"+"
LONGEST_ADDRESS = 100  # of a socket; the kernel takes 107 bytes

_started: list[subprocess.Popen] = []  # holds their stdin open


def start() -> None:
    """Start the process, which ends with this one, and have all commands that this one starts find it."""
    if sys.platform != "linux":
        return  # elsewhere a copy of a process cannot use its libraries safely
    folder = tempfile.mkdtemp(prefix="cld-warm-")  # which none but its owner can enter
    address = f"{folder}/socket"
    if len(os.fsencode(address)) > LONGEST_ADDRESS:
        shutil.rmtree(folder)
        return
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(128)  # so commands can ask before the libraries are loaded
        _started.append(
            subprocess.Popen(
                [sys.executable, "-m", "cld.runtime.warm", "--listen", str(listening.fileno()), folder],
                stdin=subprocess.PIPE,  # closed by this process' end, whatever ends it
                stdout=subprocess.DEVNULL,
                pass_fds=[listening.fileno()],
                env={**os.environ, **THREADS},
                cwd=Path(__file__).parents[2],
                start_new_session=True,  # a terminal's Ctrl-C goes to the commands, which pass it on
            )
        )
    os.environ[ADDRESS] = address


def main() -> None:
    """Run a command in a copy of the process of :func:`start`, or else here."""
    if len(sys.argv) < 2:
        sys.exit("error: name a command, as in: python -m cld.runtime.warm train --help")
    if sys.argv[1] == "--listen":
        if command := _listen(socket.socket(fileno=int(sys.argv[2])), sys.argv[3]):
            # the interpreter's own end would write to, and so copy, all that is loaded
            os._exit(_status_of(command))
    elif (status := _run_in_copy(sys.argv[1:])) is None:
        _run(sys.argv[1:])
    else:
        _end(status)


def _run(command: list[str]) -> None:
    sys.argv = ["cld", *command]  # runpy puts the module's file in its first place
    sys.orig_argv = [sys.executable, "-m", *sys.argv]
    runpy.run_module("cld", run_name="__main__", alter_sys=True)


def _status_of(command: list[str]) -> int:
    """Run a command, and do what the interpreter does at its end; gives the exit status."""
    status: object = 0
    try:
        _run(command)
    except SystemExit as end:
        status = end.code or 0
        if not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        status = 130 if isinstance(error, KeyboardInterrupt) else 1
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status & 0xFF


def _run_in_copy(command: list[str]) -> int | None:
    """Status of a command that ran in a copy, negative for a signal that ended it; None: it did not run."""
    address = os.environ.get(ADDRESS)
    if not address or any(os.environ.get(name) != value for name, value in THREADS.items()):
        return None
    with socket.socket(socket.AF_UNIX) as server:
        request = {"like": _like(), "command": command, "folder": os.getcwd(), "environ": dict(os.environ)}
        text = json.dumps(request).encode()
        before = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            server.connect(address)
            socket.send_fds(server, [len(text).to_bytes(4, "big")], [0, 1, 2])
            server.sendall(text)
            for number in SIGNALS:
                signal.signal(number, lambda number, _: server.sendall(bytes([number])))
            is_accepted = server.recv(1) == ACCEPTED
        except OSError:
            is_accepted = False
        status = b""
        with suppress(OSError):
            status = server.recv(64) if is_accepted else b""
        for number, handler in before.items():
            signal.signal(number, handler)
    if is_accepted and not status:
        print("error: the process this command ran in is gone; run it again", file=sys.stderr)
        return 1
    return int(status) if is_accepted else None


def _end(status: int) -> None:
    """End as the copy did, at once: the interpreter's own end takes longer than all that happened here."""
    if status < 0:
        if status != -signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _like() -> list[str]:
    """What a command's process and the one that is copied must have in common: interpreter and code."""
    return [sys.prefix, sys.version, str(Path(__file__).resolve())]


def _listen(listening: socket.socket, folder: str) -> list[str]:
    """Load the libraries and copy this process for each command until stdin ends.

    Returns:
        In a copy: its command. In the process itself, once the last copy has ended: nothing.
    """
    for name in LIBRARIES:
        import_module(name)
    gc.freeze()  # or a copy's first collection would write to, and so copy, all that is loaded
    woken, wakes = socket.socketpair()
    woken.setblocking(False)
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    for source in (listening, woken, sys.stdin):
        selector.register(source, selectors.EVENT_READ)
    clients: dict[int, socket.socket] = {}  # by their copy's process

    while True:
        for key, _ in selector.select():
            source = key.fileobj
            if source is listening:
                client, _ = listening.accept()
                request, streams = _request(client)
                if request is None:
                    client.close()
                elif process := os.fork():
                    clients[process] = client
                    selector.register(client, selectors.EVENT_READ, process)
                    with suppress(OSError):  # the command is gone
                        client.sendall(ACCEPTED)
                else:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    selector.close()
                    for other in (listening, woken, wakes, client, *clients.values()):
                        other.close()
                    return _become(request, streams)
                for stream in streams:
                    os.close(stream)
            elif source is sys.stdin:
                selector.unregister(sys.stdin)
                selector.unregister(listening)
                listening.close()
                shutil.rmtree(folder, ignore_errors=True)
            elif source is woken:
                woken.recv(4096)
            else:
                _pass_on(source, key.data, selector)
        _say_what_ended(clients, selector)
        if listening.fileno() == -1 and not clients:
            return []


def _request(client: socket.socket) -> tuple[dict | None, list[int]]:
    """A command's request, None if it is not for this process, and its standard streams."""
    streams: list[int] = []
    try:
        client.settimeout(10)
        size, streams, *_ = socket.recv_fds(client, 4, 3)
        text = bytearray()
        while len(text) < int.from_bytes(size, "big") and (part := client.recv(1 << 16)):
            text += part
        client.settimeout(None)
        request = json.loads(text)  # what is cut off is no JSON
    except (OSError, ValueError):
        return None, streams
    return (request if request.get("like") == _like() else None), streams


def _become(request: dict, streams: list[int]) -> list[str]:
    """Make this process the one that asked, but for what it has loaded; gives the command."""
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environ"])
    tempfile.tempdir = None  # may lie elsewhere by this environment
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())
    return request["command"]


def _pass_on(client: socket.socket, process: int, selector: selectors.BaseSelector) -> None:
    """Send a copy the signals that its command has received; where the command is gone, the end."""
    try:
        numbers = client.recv(64)
    except OSError:
        numbers = b""
    for number in numbers or [signal.SIGTERM]:
        os.kill(process, number)
    if not numbers:
        selector.unregister(client)


def _say_what_ended(clients: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    """Tell commands whose copies have ended how."""
    for process in list(clients):
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            client = clients.pop(process)
            if client in selector.get_map():
                selector.unregister(client)
            with suppress(OSError):  # the command is gone
                client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            client.close()


if __name__ == "__main__":
    main()
