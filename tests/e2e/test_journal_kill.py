"""kill -9 at any moment: every step whose record returned is there, whole, and at most one more."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.types.errors import JournalError
from tests.e2e.commands import REPO, TIMEOUT_S
from tests.infra.journal.journal_rig import open_in, path_in

KILLS = 20


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.journal_process", folder],
        cwd=REPO,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


def killed(process: subprocess.Popen[str], after: int) -> int:
    """Kill after so many records were said; return the last that was."""
    assert process.stdout is not None
    with process.stdout as stdout:
        try:
            lines = [stdout.readline() for _ in range(after + 1)]
        finally:
            process.kill()
        lines += stdout.read().splitlines()
    process.wait(TIMEOUT_S)
    assert all(lines), "it ended by itself"
    return int(lines[-1].removeprefix("started "))


@pytest.mark.slow
def test_all_that_was_recorded_outlives_kills_at_any_moment(tmp_path: Path) -> None:
    seed = 20_261_121
    chance = random.Random(seed)
    before = 0
    for kill in range(KILLS):
        said = killed(start(tmp_path), chance.choice([1, 2, chance.randrange(1, 50), chance.randrange(1, 2_000)]))
        # As an operator would look first, then as the next run does.
        with JournalReader.open(path_in(tmp_path)) as reader:
            info = reader.info()
            assert info.held_by is None
        with open_in(tmp_path) as journal:
            restored = journal.load()
        newest = max(restored.exec_ids, default=0)
        assert newest in (said, said + 1), f"kill {kill} of seed {seed}"
        assert restored.exec_ids[-1000:] == tuple(range(max(1, newest - 999), newest + 1))
        assert (info.orders, info.fills, info.facts) == (newest + 1, newest, 2 * newest)
        assert restored.memo is not None
        assert restored.memo.inventory.realised == newest
        assert [order.client_order_id for order in restored.orders if order.is_live] == [f"k{newest}"]
        assert newest > before
        before = newest


def test_second_process_is_refused_on_the_journal_and_on_the_account_until_the_first_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(JournalError, match=f"is in use by process {process.pid}; stop it first"):
            open_in(tmp_path)
        other = tmp_path / "other"
        with pytest.raises(JournalError, match=f"the account is traded by process {process.pid}; stop it first"):
            open_in(other, locks=tmp_path / "locks")
        open_in(other, locks=tmp_path / "locks", account="another").close()
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)
    open_in(tmp_path).close()
