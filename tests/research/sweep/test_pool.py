"""A pool's handling of answers that are hard to provoke with a real cluster."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from stall_then_strike.research.sweep.plan import Span
from stall_then_strike.research.sweep.pool import DaskPool, PoolError, _Call
from stall_then_strike.research.sweep.runs import Job, OtherProgram, Run
from stall_then_strike.research.sweep.tape_fetch import TapeUnavailable
from stall_then_strike.types.errors import ConfigError

JOB = Job(base={}, tapes=(), key="k", cache="", sample_ns=1, program="another")
RUNS = tuple(Run(n, Span("all", 0, 1), {"strategy.ttl_ms": 400 + n}) for n in range(2))


class Answer:
    """A task's end."""

    def __init__(self, error: Exception, status: str = "error") -> None:
        self.error, self.status = error, status

    def result(self, timeout: float) -> Any:
        assert timeout > 0
        raise self.error


def pool(scheduler: str | None = "tcp://10.0.0.5:8786") -> DaskPool:
    return DaskPool(JOB, scheduler=scheduler, workers=1, patience_s=5, stopping=bool, tell=print)


def test_a_run_that_kills_its_workers_fails_alone() -> None:
    error = KilledWorker("task", None, 3)  # type: ignore[arg-type]  # which worker is not asked
    assert pool()._result(Answer(error), RUNS) is None  # taken apart first
    found = pool()._result(Answer(error), RUNS[:1])
    assert found is not None
    assert found[0].error == "every worker that was at this run died, 4 in all (out of memory?)"
    assert found[0].values == {"strategy.ttl_ms": 400}


def test_a_result_that_was_lost_with_its_worker_is_made_again() -> None:
    assert pool()._result(Answer(TimeoutError()), RUNS) is None


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (OtherProgram("another version"), "error", "a worker cannot take part: another version"),
        (TapeUnavailable("s3://b/t changed"), "error", "a worker cannot take part: s3://b/t changed"),
        (ModuleNotFoundError("No module", name="numba"), "error", "it lacks numba; install"),
        (PermissionError("read-only"), "error", "a worker cannot take part: PermissionError: read-only"),
        (CommClosedError("in <TCP>: Stream is closed"), "error", "the scheduler at tcp://10.0.0.5:8786 was lost"),
        (RuntimeError("gone"), "cancelled", "the scheduler at tcp://10.0.0.5:8786 was lost"),
    ],
)
def test_what_would_go_wrong_with_every_run_ends_the_sweep(error: Exception, status: str, words: str) -> None:
    with pytest.raises(PoolError, match=words):
        pool()._result(Answer(error, status), RUNS)


def test_dask_is_handed_nothing_that_a_bare_worker_could_not_read() -> None:
    """The task has bytes and a function of the standard library; the call happens when they are unpickled in the
    task."""
    with pytest.raises(OtherProgram):
        pickle.loads(pickle.dumps(_Call(JOB, RUNS)))  # noqa: S301 - what we packed ourselves


@pytest.mark.parametrize("scheduler", [None, "tcp://127.0.0.1:9"])
def test_encryption_that_dask_is_set_to_require_is_told_in_words(scheduler: str | None) -> None:
    with dask.config.set({"distributed.comm.require-encryption": True}), pytest.raises(ConfigError, match="encryption"):
        pool(scheduler).__enter__()


def test_local_cluster_that_does_not_start_says_what_it_began_with(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        dask.config.set({"temporary-directory": str(tmp_path / "file")}),
        pytest.raises(PoolError, match=r"did not start .*Not a directory.*--serial"),
    ):
        pool(None).__enter__()


@pytest.mark.parametrize("address", ["carrier-pigeon://coop", "tcp://host:port"])
def test_an_address_that_is_none_is_refused_before_anything_waits(address: str) -> None:
    with pytest.raises(ConfigError, match="accepted: an address such as"):
        pool(address)._check_address()
