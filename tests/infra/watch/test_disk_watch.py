"""Free space: what is reported, and how often. Uses a real small disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.watch.disk_watch import AGAIN_NS, RESERVE_BYTES, DiskWatch, Reserve, written_folders
from tests.infra.watch.small_disk import fill_up, small_disk

MB = 1_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 10) as folder:
        yield folder


def test_little_room_is_told_once_then_at_each_halving_and_each_hour(disk: Path) -> None:
    watch = DiskWatch((disk / "logs" / "not made yet", disk / "journal"), 5)
    assert watch.look(0) == []
    theirs = disk / "theirs"
    theirs.write_bytes(b"x" * 7 * MB)
    (words,) = watch.look(1)
    assert words.startswith("only 3.")
    assert "not made yet" in words
    assert "journal" in words
    assert "watch.min_free_disk_mb is 5" in words
    assert watch.look(2) == []
    theirs.write_bytes(b"x" * 9 * MB)
    assert len(watch.look(3)) == 1, "half of that"
    assert watch.look(4) == []
    assert len(watch.look(3 + AGAIN_NS)) == 1
    theirs.write_bytes(b"")
    (words,) = watch.look(4 + AGAIN_NS)
    assert "MB are free again" in words
    assert watch.look(5 + AGAIN_NS) == []


def test_folders_of_several_disks_are_judged_by_themselves(disk: Path, tmp_path: Path) -> None:
    fill_up(disk)
    (words,) = DiskWatch((tmp_path, disk), 1).look(0)
    assert str(disk) in words
    assert f"{tmp_path}," not in words


def test_recordings_are_watched_where_they_are_made() -> None:
    logs = Path("logs")
    assert written_folders(AppConfig.model_validate({}), logs) == (logs,)
    recording = AppConfig.model_validate({"record": {"enabled": True, "dir": "tapes"}})
    assert written_folders(recording, logs) == (logs, Path("tapes"))


def test_reserve_takes_room_and_gives_it_back(disk: Path) -> None:
    reserve = Reserve(disk / "reserve")
    assert not reserve.is_kept
    assert reserve.keep()
    assert reserve.keep()
    theirs = fill_up(disk)
    with pytest.raises(OSError, match="No space left"):
        (disk / "ours").write_bytes(b"x" * RESERVE_BYTES)
    reserve.release()
    (disk / "ours").write_bytes(b"x" * (RESERVE_BYTES - 4_096))
    assert not reserve.keep(), "there is no room for it"
    assert not (disk / "reserve").exists()
    theirs.unlink()
    assert reserve.keep()
