"""The project's commands as processes, without the second of the processor that each needs to import what it uses.

A process that has imported all commands (``python -m tests.e2e.forked``) forks one for each that is started. That is a
process like any other: it has a number, files, an environment, signals, a sudden death and an exit code of its own.
Only the start of the interpreter and of the installed script are not in it; `test_readme.py` and `test_install.py` have
those of every script.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from stall_then_strike.app.sts.program import VERBS
from stall_then_strike.lighter.signing.signer import load_sdk
from stall_then_strike.types.errors import ConfigError

REPO: Final = Path(__file__).resolve().parents[2]
COMMANDS: Final[Mapping[str, str]] = {
    **{name: f"stall_then_strike.app.{verb.module}" for name, verb in VERBS.items()},
    **{
        name: target.partition(":")[0]
        for name, target in tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]["scripts"].items()
    },
}
"""Each script's module, and each verb's. What they import starts no thread, which a fork would lose."""
_SIZE: Final = 8
"""Bytes that tell how long a request is."""


class Forked:
    """A command that runs, with what tests use of `subprocess.Popen`.

    Modules that are ``lacking`` are not installed for it; none that it imports as it starts can be one of them.
    """

    def __init__(
        self,
        command: str,
        *args: str | Path,
        cwd: Path = REPO,
        env: Mapping[str, str] | None = None,
        lacking: Sequence[str] = (),
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> None:
        self.args = [command, *map(str, args)]
        self.returncode: int | None = None
        self._has_ended = threading.Event()
        self.stdout, out = _pipe(stdout)
        self.stderr, err = _pipe(stderr)
        nothing = os.open(os.devnull, os.O_RDWR)
        told, tell = os.pipe()
        task = {
            "args": self.args,
            "cwd": str(cwd),
            "env": dict(os.environ if env is None else env),
            "lacking": list(lacking),
        }
        files = [nothing if stdin == subprocess.DEVNULL else stdin, out, err, tell]
        try:
            _nursery().ask(task, files)
        finally:
            for number in (nothing, tell, *([out] if self.stdout else []), *([err] if self.stderr else [])):
                os.close(number)
        self._told = os.fdopen(told)
        self.pid = int(self._told.readline())
        threading.Thread(target=self._hear_its_end, daemon=True).start()

    def _hear_its_end(self) -> None:
        with self._told:
            self.returncode = int(self._told.readline() or -signal.SIGKILL)
        self._has_ended.set()

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended. Raises TimeoutExpired."""
        if not self._has_ended.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Do nothing if it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it says to its end. Raises TimeoutExpired, and then it is killed."""
        pipes = (self.stdout, self.stderr)
        with ThreadPoolExecutor(2) as pool:
            texts = [pool.submit(pipe.read) for pipe in pipes if pipe is not None and not pipe.closed]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            out_and_err = iter([text.result() for text in texts])
        said = ["" if pipe is None or pipe.closed else next(out_and_err) for pipe in pipes]
        for pipe in pipes:
            if pipe is not None:
                pipe.close()
        return said[0], said[1]


def forked(command: str, *args: str | Path, timeout: float, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run one to its end."""
    process = Forked(command, *args, **more)
    out, err = process.communicate(timeout)
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def _pipe(wanted: int) -> tuple[io.TextIOWrapper | None, int]:
    """Our end, if we read, and its end."""
    if wanted != subprocess.PIPE:
        return None, wanted
    ours, theirs = os.pipe()
    return os.fdopen(ours, encoding="utf-8"), theirs


class _Nursery:
    """The process that forks, as the tests' process sees it. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", "tests.e2e.forked", str(theirs.fileno())],
                cwd=REPO,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)

    def ask(self, task: Mapping[str, Any], files: list[int]) -> None:
        said = json.dumps(task).encode()
        with self._lock:
            socket.send_fds(self._ours, [len(said).to_bytes(_SIZE, "big")], files)
            self._ours.sendall(said)

    def _end(self) -> None:
        self._ours.close()
        self._process.wait()


_nursery = functools.cache(_Nursery)


# --- the process that forks ------------------------------------------------------------------------------------------


def _serve(requests: socket.socket) -> None:
    """Fork for each request, until nobody can make one; return in no process but this one."""
    while size := (asked := socket.recv_fds(requests, _SIZE, 4))[0]:
        files = asked[1]
        with requests.makefile("rb", buffering=0) as stream:
            said = b""
            while len(said) < int.from_bytes(size, "big"):
                said += stream.read(int.from_bytes(size, "big") - len(said)) or b""
        task = json.loads(said)
        if any("lighter" in word for word in task["args"]):
            _import_lighter()
        if os.fork() == 0:
            requests.close()
            _keep(task, *files)
        for number in files:
            os.close(number)
        with suppress(ChildProcessError):  # of keepers, there is none any more
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


@functools.cache
def _import_lighter() -> None:
    """Lighter's SDK, once for all commands that sign for it: it takes as long as the commands do together."""
    with suppress(ConfigError):  # the extra is not installed
        load_sdk()


def _keep(task: Mapping[str, Any], stdin: int, stdout: int, stderr: int, told: int) -> NoReturn:
    """Fork the command, and tell its number and its end."""
    number = os.fork()
    if number == 0:
        os.close(told)
        _become(task, stdin, stdout, stderr)
    for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sent, signal.SIG_IGN)
    for file in (stdin, stdout, stderr):
        os.close(file)
    os.write(told, b"%d\n" % number)
    _, status = os.waitpid(number, 0)
    os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(task: Mapping[str, Any], *files: int) -> NoReturn:
    """The command."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in set(files):
        os.close(file)
    os.chdir(task["cwd"])
    os.environ.clear()
    os.environ.update(task["env"])
    if os.environ.get("PYTHONWARNINGS") == "error":
        warnings.simplefilter("error")
    sys.modules.update(dict.fromkeys(task["lacking"]))  # type: ignore[arg-type]  # None: not installed
    time.tzset()
    tempfile.tempdir = None
    sys.argv = list(task["args"])
    sys.exit(importlib.import_module(COMMANDS[sys.argv[0]]).main())


def _main() -> None:
    # Before the commands are imported: they look at what is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    for module in COMMANDS.values():
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    _main()
