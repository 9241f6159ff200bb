"""One instance a journal and an account, across processes; locks end with their process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stall_then_strike.infra.file_lock import FileLock, holder, share
from stall_then_strike.infra.journal.instance_lock import InstanceLock, account_folder, journal_lock
from stall_then_strike.types.errors import JournalError

HOLD = """
import sys
from pathlib import Path
from stall_then_strike.infra.journal.instance_lock import InstanceLock
lock = InstanceLock(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
lock.take()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_process(journal: Path, account: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, journal, account, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_second_process_on_a_journal_is_refused_by_name(tmp_path: Path) -> None:
    journal = tmp_path / "FX_BTC_JPY.sqlite3"
    with other_process(journal, "one", tmp_path / "locks") as process:
        with pytest.raises(JournalError, match=rf"FX_BTC_JPY\.sqlite3 is in use by process {process.pid}; stop it"):
            InstanceLock(journal, "two", tmp_path / "locks").take()
        assert holder(journal_lock(journal)) == f"process {process.pid}"


def test_second_process_on_an_account_is_refused_from_any_journal(tmp_path: Path) -> None:
    here, there = tmp_path / "here.sqlite3", tmp_path / "there.sqlite3"
    with other_process(here, "one", tmp_path / "locks") as process:
        with pytest.raises(JournalError, match=rf"the account is traded by process {process.pid}; stop it first"):
            InstanceLock(there, "one", tmp_path / "locks").take()
        assert holder(journal_lock(there)) is None, "what was taken before is let go"
        free = InstanceLock(there, "two", tmp_path / "locks")
        free.take()
        free.release()


def test_locks_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    journal = tmp_path / "j.sqlite3"
    with other_process(journal, "one", tmp_path / "locks") as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
        lock = InstanceLock(journal, "one", tmp_path / "locks")
        lock.take()
        assert holder(journal_lock(journal)) == f"process {os.getpid()}"
        lock.release()
    assert holder(journal_lock(journal)) is None


def test_who_looks_on_for_a_moment_does_not_keep_anybody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    path.touch()
    looking = os.open(path, os.O_RDONLY)
    share(looking)
    monkeypatch.setattr("stall_then_strike.infra.file_lock._pause", lambda: os.close(looking))
    lock = FileLock(path)
    lock.take()
    assert holder(path) == f"process {os.getpid()}"
    lock.release()


def test_account_locks_are_in_one_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert account_folder() == tmp_path / f"stall_then_strike-{os.getuid()}"
    lock = InstanceLock(tmp_path / "j.sqlite3", "one")
    lock.take()
    assert (account_folder() / "account-one.lock").read_text() == f"{os.getpid()}\n"
    assert account_folder().stat().st_mode & 0o777 == 0o700
    lock.release()


def test_folder_of_locks_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "locks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match=r"/locks cannot be used for locks"):
        InstanceLock(tmp_path / "j.sqlite3", "one", tmp_path / "locks").take()
    assert holder(journal_lock(tmp_path / "j.sqlite3")) is None
