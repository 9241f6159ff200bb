"""``run_live`` with everything that it writes on one small disk, which another program fills."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.live_process import Place, place


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip(f"mounting needs root: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def placed(there: Place) -> int:
    return sum("sendchildorder" in call for call in there.sent)


@pytest.mark.slow
async def test_full_disk_is_warned_of_ends_flat_and_is_remembered(small_disk: Path) -> None:
    async with place(small_disk) as there:
        process = there.start("run_live", *there.live_flags("--set", "watch.min_free_disk_mb=20"))
        await there.until("a strike", lambda: placed(there) >= 2, process)
        theirs = (small_disk / "theirs").open("wb", buffering=0)
        theirs.write(b"x" * 20_000_000)
        await there.until("the warning", lambda: "MB are free for" in there.app_log(), process)
        with theirs, suppress(OSError):
            while theirs.write(b"x" * 4_096):
                pass
        code, _, err = await there.ended(process)
        assert code == 3, err
        assert not there.resting
        (small_disk / "theirs").unlink()
        code, out, err = await there.run("state", "show", *there.flags)
        assert code == 0, err
        assert "log_failure" in out
        assert there.room.venue.ledger().position == 0
