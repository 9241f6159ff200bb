"""Executes the runs of a sweep: in this process, or on Dask.

A run depends only on its arguments, so a worker that dies costs only time: Dask gives its runs to another. Waiting is
bounded: the sweep ends after ``patience_s`` if the scheduler cannot be reached or is lost, or if there is no worker.
Finished runs are kept.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import logging
import pickle
import queue
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import get_all_start_methods, get_context
from typing import Any, Final, Protocol, Self

from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.research.sweep.runs import Job, OtherProgram, Record, Run, execute, failed, run_batch
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError, FeedError, StallThenStrikeError

_TASK_S: Final = 0.2
"""Intended duration of a task: shorter ones have more overhead, longer ones lose more work with a worker."""
_MOST_RUNS: Final = 64
"""Most runs in a task."""
_TASKS_A_THREAD: Final = 3
_LOOK_S: Final = 2.0
_PAUSE_S: Final = 0.2
_FETCH_S: Final = 5.0
_IMPORTED_ONCE: Final = ("distributed.nanny", "stall_then_strike.research.sweep.runs")


class PoolError(StallThenStrikeError):
    """The cluster cannot be used (any more). The text is meant for the operator."""


class Pool(Protocol):
    """Executes runs."""

    def records(self, runs: Iterable[Run], count: int) -> Iterator[Record]:
        """One record per run, in any order; fewer after a stop. ``count`` is the number of runs. Raises PoolError."""
        ...


class SerialPool:
    """Executes one run after the other in this process."""

    def __init__(self, job: Job, columns: Columns, stopping: Callable[[], bool]) -> None:
        """``columns`` are those of the job."""
        self._job, self._columns, self._stopping = job, columns, stopping

    def records(self, runs: Iterable[Run], count: int) -> Iterator[Record]:
        """Records in the order of the runs."""
        for run in runs:
            if self._stopping():
                return
            yield execute(self._job, run, self._columns)


class DaskPool:
    """Executes runs on a cluster, either started on this machine or existing. A context manager."""

    def __init__(
        self,
        job: Job,
        *,
        scheduler: str | None,
        workers: int,
        patience_s: float,
        stopping: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> None:
        """``workers`` applies to a cluster on this machine only. ``tell`` shows a text to the operator."""
        self._job, self._scheduler, self._workers = job, scheduler, workers
        self._patience_s, self._stopping, self._tell = patience_s, stopping, tell
        self._stack = contextlib.ExitStack()
        self._client: Any = None
        self._threads, self._per_task = 0, 1
        self._looked_ns = 0
        self._mute_ns: int | None = None
        """Since when the scheduler has not answered, as far as observed."""
        self._alone_ns: int | None = None
        """Since when the cluster has had no worker, as far as observed."""

    def __enter__(self) -> Self:
        """Start or connect. Raises PoolError, ConfigError (a bad address)."""
        import dask

        # Silence Dask's own messages; this class reports what matters.
        quiet = dict.fromkeys(
            ("distributed", "distributed.client", "distributed.scheduler", "tornado", "bokeh"), "critical"
        )
        dask.config.set({"logging": quiet})
        distributed: Any = importlib.import_module("distributed")
        self._check_address()
        is_encrypted = (self._scheduler or "").startswith("tls://")
        if dask.config.get("distributed.comm.require-encryption", False) and not is_encrypted:
            raise ConfigError(
                "Dask's setting distributed.comm.require-encryption forbids this connection; accepted: unset, "
                "--scheduler tls://HOST:PORT, or --serial"
            )
        for name in quiet:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", module=r"distributed\.|contextlib|tornado\.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self._start(distributed)
                self._client = self._stack.enter_context(
                    distributed.Client(self._scheduler or self._cluster, timeout=self._patience_s, set_as_default=False)
                )
            except Exception as error:  # Dask raises many types: settings, start of workers, network
                with contextlib.suppress(Exception):
                    self._stack.close()
                raise self._not_started(error) from error
        return self

    def _not_started(self, error: Exception) -> PoolError:
        cause = _root(error)
        if self._scheduler is None:
            return PoolError(f"the local cluster did not start ({_one_line(cause)}); --serial needs none")
        advice = "start one with `dask scheduler`, or leave out --scheduler"
        where = f"at {self._scheduler} within {self._patience_s:g} s"
        return PoolError(f"no scheduler {where} ({_one_line(cause)}); {advice}")

    def __exit__(self, *exc: object) -> None:
        """Disconnect from the cluster; a cluster that was started here ends."""
        with warnings.catch_warnings(), contextlib.suppress(OSError, TimeoutError):
            warnings.simplefilter("ignore")
            self._stack.close()

    def _check_address(self) -> None:
        """Check the address first, because a client takes two minutes to fail. Raises ConfigError."""
        if self._scheduler is None:
            return
        from distributed.comm.addressing import parse_address, parse_host_port
        from distributed.comm.registry import get_backend

        try:
            scheme, location = parse_address(self._scheduler)
            get_backend(scheme)
            parse_host_port(location)
        except ValueError as error:
            raise ConfigError(
                f"--scheduler {self._scheduler}: {_one_line(error)}; accepted: an address such as tcp://10.0.0.5:8786"
            ) from None

    def _start(self, distributed: Any) -> None:
        self._cluster: Any = None
        if self._scheduler is None:
            _start_by_fork(distributed)
            self._cluster = self._stack.enter_context(
                distributed.LocalCluster(
                    n_workers=self._workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
            )

    def records(self, runs: Iterable[Run], count: int) -> Iterator[Record]:
        """Records as they come back."""
        waiting: dict[Any, tuple[Run, ...]] = {}
        ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        left = iter(runs)
        self._look(force=True)
        try:
            while True:
                while len(waiting) < _TASKS_A_THREAD * max(1, self._threads) and not self._stopping():
                    if not (batch := tuple(itertools.islice(left, self._runs_a_task(count)))):
                        break
                    self._submit(batch, waiting, ended)
                if not waiting or self._stopping():
                    return
                try:
                    future = ended.get(timeout=_PAUSE_S)
                except queue.Empty:
                    self._look()
                    continue
                batch = waiting.pop(future)
                found = self._result(future, batch)
                if found is None:
                    for run in batch:  # one of them may be the cause: submit each alone
                        self._submit((run,), waiting, ended)
                    continue
                seconds = sum(record.seconds for record in found) / len(found)
                self._per_task = max(1, min(_MOST_RUNS, int(_TASK_S / max(seconds, 1e-6))))
                yield from found
                self._look()
        finally:
            with contextlib.suppress(Exception):  # the client may be closed
                self._client.cancel(list(waiting))

    def _runs_a_task(self, count: int) -> int:
        """As many runs as fit the intended duration of a task, but few enough that every thread gets some."""
        return max(1, min(self._per_task, count // (2 * max(1, self._threads))))

    def _submit(self, batch: tuple[Run, ...], waiting: dict[Any, tuple[Run, ...]], ended: Any) -> None:
        try:
            future = self._client.submit(pickle.loads, pickle.dumps(_Call(self._job, batch)), pure=False)
        except Exception as error:  # a client without its scheduler raises many types
            raise self._lost(error) from error
        waiting[future] = batch
        future.add_done_callback(ended.put)

    def _result(self, future: Any, batch: tuple[Run, ...]) -> list[Record] | None:
        """Records of a finished task; None if its runs must be submitted one by one. Raises PoolError."""
        from distributed.comm.core import CommClosedError
        from distributed.scheduler import KilledWorker

        try:
            found: list[Record] = future.result(timeout=_FETCH_S)
        except KilledWorker as error:
            if len(batch) > 1:
                return None
            deaths = error.allowed_failures + 1
            return [failed(batch[0], f"every worker that was at this run died, {deaths} in all (out of memory?)")]
        except TimeoutError:  # finished, but the result was lost with its worker
            return None
        except (OtherProgram, FeedError, ConfigError) as error:
            raise PoolError(f"a worker cannot take part: {error}") from error
        except ModuleNotFoundError as error:
            raise PoolError(
                f"a worker cannot take part: it lacks {error.name}; install the same stall-then-strike[research] there"
            ) from error
        except Exception as error:  # cancelled, lost, or a problem of the worker (its disk ...)
            is_lost = future.status in ("cancelled", "lost") or isinstance(error, CommClosedError)
            if is_lost or (self._client is not None and self._client.status != "running"):
                raise self._lost(error) from error
            raise PoolError(f"a worker cannot take part: {type(error).__name__}: {_one_line(error)}") from error
        return found

    def _look(self, *, force: bool = False) -> None:
        """Ask the scheduler for its workers now and then. Raises PoolError if it or its workers are gone for too
        long."""
        now = perf_ns()
        if not force and now - self._looked_ns < _LOOK_S * NS_PER_S:
            return
        self._looked_ns = now
        try:
            held = self._client.sync(self._client.scheduler.identity, callback_timeout=_LOOK_S)
        except Exception as error:  # as in _submit
            self._mute_ns = self._mute_ns or now
            if self._client.status == "closed" or now - self._mute_ns > self._patience_s * NS_PER_S:
                raise self._lost(error) from error
            return
        self._mute_ns = None
        self._threads = int(held["total_threads"])
        if held["n_workers"]:
            self._alone_ns = None
        elif self._alone_ns is None:
            self._alone_ns = now
            self._tell(f"the cluster has no worker; waiting up to {self._patience_s:g} s for one")
        elif now - self._alone_ns > self._patience_s * NS_PER_S:
            raise PoolError(f"the cluster has had no worker for {self._patience_s:g} s")

    def _lost(self, error: BaseException) -> PoolError:
        where = "of the local cluster" if self._scheduler is None else f"at {self._scheduler}"
        return PoolError(f"the scheduler {where} was lost ({_one_line(error)})")


class _Call:
    """A call of ``run_batch``, made when it is unpickled.

    Dask gets it as bytes. An object that Dask unpickles itself, outside a task, would end a worker that lacks this
    package, without a reason that we could show.
    """

    def __init__(self, job: Job, runs: Sequence[Run]) -> None:
        self._job, self._runs = job, runs

    def __reduce__(self) -> tuple[Any, ...]:
        return run_batch, (self._job, self._runs)


def _start_by_fork(distributed: Any) -> None:
    """Let the workers of a local cluster be forks of one process that has imported everything: each import costs more
    than a second of a processor. That process has one thread and is not this one, so forking is sound."""
    import dask

    if "forkserver" in get_all_start_methods():
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
        distributed.utils.get_mp_context()  # sets its own list first
        get_context("forkserver").set_forkserver_preload(list(_IMPORTED_ONCE))


def _root(error: BaseException) -> BaseException:
    """The first cause of an error."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _one_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0].strip() or type(error).__name__
