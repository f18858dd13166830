"""Commands that begin at once: each is a fork of a process that has imported h5py, NumPy and more already.

A new Python takes 0.3 s to import them, and 2 s for torch: most of the time of a short command. A forked
command has its own arguments, folder, environment and standard streams, and ends as every Python does. Where
the start of Python matters, a command gets a new one: with variables that Python or a library reads then,
with limits, and for mounts, which tests know by the words that `ps` shows. NEW_PYTHON=1 in the environment
does so for all.

As a program, this file is a server: it waits for commands on a socket, and runs one after the other.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import os
import pickle
import pkgutil
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from h5vfs import TOOLS

ROOT = Path(__file__).resolve().parents[2]
WITH_TORCH = {"classifying", "loading", "networks", "training"}  # rooms whose modules may import it
# Variables that are read while a command runs. Python or a library may read others when it starts.
READ_LATE = {
    "DISPLAY", "IMAGESTORE_DECODE_MEMORY", "NO_COLOR", "PYTEST_CURRENT_TEST", "SLURM_ARRAY_TASK_COUNT",
    "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP", "WAYLAND_DISPLAY",
    "XDG_CACHE_HOME",
}  # fmt: skip
LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)
LARGEST_MESSAGE = 100_000  # bytes; Linux gives a socket room for twice as many
LARGEST_INPUT = 60_000  # bytes; a pipe holds 64 KiB


class CommandServers:
    """Starts commands: by a server without torch, by one with torch, or by a new Python."""

    def __init__(self) -> None:
        """The servers start when they are needed."""
        self._environment, self._limits = dict(os.environ), _limits()
        self._servers: dict[bool, _Server] = {}  # by whether it has torch

    def __enter__(self) -> CommandServers:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.close()

    def run(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        input: str | None,
        timeout: float,
    ) -> subprocess.CompletedProcess:
        """Run a script with its arguments, as subprocess.run does. Raises subprocess.TimeoutExpired."""
        if not self._may_fork(words, environment, input):
            return subprocess.run(
                [sys.executable, *words], capture_output=True, text=True, errors="surrogateescape",
                timeout=timeout, env=environment, cwd=cwd, input=input,
            )  # fmt: skip
        with_torch = Path(words[0]).name in ("train_model.py", "classify.py")
        if with_torch not in self._servers:
            self._servers[with_torch] = _Server(self._environment, with_torch)
        return self._servers[with_torch].run(words, environment, cwd, input, timeout)

    def _may_fork(self, words: Sequence[str], environment: Mapping[str, str], input: str | None) -> bool:
        """Whether a fork has all that a new Python would have."""
        is_mount = Path(words[0]).name == "h5vfs.py" and not set(TOOLS).intersection(words[1:2])
        names = environment.keys() | self._environment.keys()
        changed = {name for name in names if environment.get(name) != self._environment.get(name)}
        is_long = sum(map(len, words)) > LARGEST_MESSAGE // 4 or len(input or "") > LARGEST_INPUT // 4
        is_alike = changed <= READ_LATE and _limits() == self._limits
        return is_alike and not is_mount and not is_long and not environment.get("NEW_PYTHON")


class _Server:
    """A process that begins commands at once."""

    def __init__(self, environment: Mapping[str, str], with_torch: bool) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", __name__, str(theirs.fileno()), "torch" if with_torch else ""]
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.wait(timeout=120)

    def run(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        input: str | None,
        timeout: float,
    ) -> subprocess.CompletedProcess:
        """As CommandServers.run."""
        with contextlib.ExitStack() as ours:
            with contextlib.ExitStack() as theirs:
                files = [theirs.enter_context(_file_with(input))]
                outputs = [_pipe(ours, theirs) for _ in range(2)]
                files += [write for _, write in outputs]
                message = pickle.dumps((list(words), dict(environment), str(cwd)))
                socket.send_fds(self._socket, [message], [file.fileno() for file in files])
                pid = int(self._socket.recv(LARGEST_MESSAGE))
            try:
                texts = _texts_of([read for read, _ in outputs], timeout)
                self._socket.settimeout(timeout)
                status = int(self._socket.recv(LARGEST_MESSAGE))
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self._socket.recv(LARGEST_MESSAGE)
                if isinstance(error, TimeoutError):
                    raise subprocess.TimeoutExpired(list(words), timeout) from None
                raise
        return subprocess.CompletedProcess(list(words), status, *texts)


def _limits() -> list[object]:
    """What a process inherits beside its environment: limits, and the processors that it may use."""
    return [*map(resource.getrlimit, LIMITS), os.sched_getaffinity(0)]


def _file_with(text: str | None) -> io.FileIO:
    """A file to read a text from; /dev/null for None."""
    if text is None:
        return open(os.devnull, "rb", buffering=0)
    read, write = os.pipe()
    with open(write, "wb", buffering=0) as file:
        file.write(text.encode(errors="surrogateescape"))
    return open(read, "rb", buffering=0)


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[io.FileIO, io.FileIO]:
    """The end to read from, which `ours` closes, and the end to write to, which `theirs` closes."""
    read, write = os.pipe()
    return (
        ours.enter_context(open(read, "rb", buffering=0)),
        theirs.enter_context(open(write, "wb", buffering=0)),
    )


def _texts_of(files: Sequence[io.FileIO], seconds: float) -> list[str]:
    """What comes out of pipes until nobody can write into them any more. Raises TimeoutError."""
    parts: dict[int, list[bytes]] = {file.fileno(): [] for file in files}
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                parts[key.fd].append(os.read(key.fd, 1 << 16))
                if not parts[key.fd][-1]:
                    selector.unregister(key.fileobj)
    return [_decoded(b"".join(of_file)) for of_file in parts.values()]


def _decoded(data: bytes) -> str:
    """As subprocess decodes: all ends of lines are \\n."""
    return io.TextIOWrapper(io.BytesIO(data), errors="surrogateescape").read()


# ----- the process of a server -----


def serve(connection: socket.socket, with_torch: bool) -> None:
    """Run commands until the other end is closed. In the process of a command, this raises SystemExit."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, LARGEST_MESSAGE, 3)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            try:
                run_script(*pickle.loads(message), descriptors)
            except SystemExit as end:
                if with_torch and isinstance(end.code, int):
                    leave_modules_as_they_are(end.code)
                raise
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(b"%d" % pid)
        _, status = os.waitpid(pid, 0)
        connection.send(b"%d" % os.waitstatus_to_exitcode(status))


def run_script(words: list[str], environment: dict[str, str], cwd: str, descriptors: list[int]) -> None:
    """Run a script in this process, as a Python that starts with it does. Raises SystemExit."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        style = {"encoding": old.encoding, "errors": old.errors, "closefd": False}
        setattr(sys, name, open(number, "w" if number else "r", 1 if name == "stderr" else -1, **style))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = words
    script = ModuleType("__main__")
    script.__file__ = words[0]
    sys.modules["__main__"] = script
    exec(compile(Path(words[0]).read_bytes(), words[0], "exec"), script.__dict__)
    sys.exit()


def leave_modules_as_they_are(status: int) -> NoReturn:
    """End this process as Python does, but do not take the modules of torch apart: this takes 0.3 s."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)


def import_modules(*, with_torch: bool) -> None:
    """Import all that commands import. No thread may run afterwards: a fork would not have it."""
    import imagestore

    for module in pkgutil.walk_packages(imagestore.__path__, "imagestore."):
        if with_torch or module.name.split(".")[1] not in WITH_TORCH:
            with contextlib.suppress(ImportError):  # of a package that is not installed
                importlib.import_module(module.name)


if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with_torch = bool(sys.argv[2])
    import_modules(with_torch=with_torch)
    gc.freeze()  # the forks share what is imported
    serve(socket.socket(fileno=int(sys.argv[1])), with_torch)
