"""``run_live`` with everything that it writes on one small disk, which another program fills."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.live_process import place, placed
from tests.infra.watch.small_disk import fill_up, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 40) as folder:
        yield folder


@pytest.mark.slow
async def test_full_disk_is_warned_of_ends_flat_and_is_remembered(disk: Path) -> None:
    async with place(disk) as there:
        process = there.start("run_live", *there.live_flags("--set", "watch.min_free_disk_mb=20"))
        await there.until("a strike", lambda: placed(there) >= 2, process)
        (disk / "theirs").write_bytes(b"x" * 20_000_000)
        await there.until("the warning", lambda: "MB are free for" in there.app_log(), process)
        fill_up(disk)
        code, _, err = await there.ended(process)
        assert code == 3, err
        assert not there.resting
        (disk / "theirs").unlink()
        code, out, err = await there.run("state", "show", *there.flags)
        assert code == 0, err
        assert "log_failure" in out
        assert there.room.venue.ledger().position == 0
