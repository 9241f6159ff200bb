"""A real Dask cluster of separate processes, as an operator starts one: a scheduler and workers of one thread each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from distributed import Client

from tests.e2e.commands import wait_until


@dataclass
class Cluster:
    """The running processes. Workers are numbered in order of their start."""

    folder: Path
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, **environment: str) -> Self:
        """Start one more worker."""
        name = f"worker-{len(self.workers)}"
        flags = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1", "--name", name]
        flags += ["--local-directory", str(self.folder / name)]
        self.workers.append(_start("dask_worker", self.address, *flags, **environment))
        return self

    def send(self, number: int, signal_: signal.Signals) -> None:
        """Send a signal to one worker."""
        self.workers[number].send_signal(signal_)

    def processing(self) -> dict[str, int]:
        """How many tasks each worker has, by its name."""
        with Client(self.address, set_as_default=False, timeout=30) as client:
            names = {address: worker["name"] for address, worker in client.scheduler_info()["workers"].items()}
            return {names[address]: len(tasks) for address, tasks in client.processing().items() if address in names}


def _start(module: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """A cluster with ``workers`` workers; it ends with the block."""
    file = folder / "scheduler.json"
    flags = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    scheduler = _start("dask_scheduler", *flags)
    found = Cluster(folder, "", scheduler)
    try:
        wait_until("the scheduler's start", lambda: file.exists() and file.read_text().endswith("}"))
        found.address = json.loads(file.read_text())["address"]
        for _ in range(workers):
            found.start_worker()
        yield found
    finally:
        for process in (*found.workers, scheduler):
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(timeout=30)
