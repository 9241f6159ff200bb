"""What holds for all tests."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# No time limit for one example: the machine may be busy beside it. In CI the examples are the same each time, so that
# a change is judged by what it changed; elsewhere they differ, and a failure prints how to have it again.
settings.register_profile("here", deadline=None, print_blob=True, max_examples=30)
settings.register_profile("long", settings.get_profile("here"), max_examples=1_000)  # for `make fuzz`
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


RECURSION_LIMIT = sys.getrecursionlimit()
WORKER_DIED = pytest.StashKey[bool]()
WAITING = {"e2e", "live", "scenarios"}
"""Folders of tests in real time."""


def pytest_configure() -> None:
    """Under nohup, or in the background of a script, signals are ignored; what tests start would inherit that."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Where a worker dies, tests are left over: the run's exit code is not that of a run with failed tests only."""
    if error:
        node.config.stash[WORKER_DIED] = True


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """The exit code of a run in which a worker died."""
    if session.config.stash.get(WORKER_DIED, False):
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several workers share the tests, those of a file stay together; files that take long come first."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    seconds: Counter[Path] = Counter()
    for item in items:
        seconds[item.path] += expected_seconds(item)
    items.sort(key=lambda item: -seconds[item.path])


def expected_seconds(item: pytest.Item) -> int:
    """About how long it takes, which decides nothing but the order."""
    slow = item.get_closest_marker("slow")
    if slow is not None:
        return int(slow.args[0]) if slow.args else 5
    return 2 if WAITING & set(item.path.parts) else 0


@pytest.fixture(autouse=True)
def _recursion_limit() -> None:
    """Python's own. Tests import Lighter's SDK directly, and py_ecc in it raises the limit as high as crashes are."""
    sys.setrecursionlimit(RECURSION_LIMIT)


@pytest.fixture(scope="session", autouse=True)
def _temporary_folder_of_its_own() -> Iterator[None]:
    """Each worker has one: the locks of accounts lie in it, and tests trade the same made-up accounts.

    It is open to all users, as the system's is: some tests become another user.
    """
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o1777)
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """A command that ran in this process leaves stop signals ignored, as its end needs: others would inherit that."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
