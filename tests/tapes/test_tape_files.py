"""Wherever tapes can be given, a folder of recordings can be given too: files that are not tapes are skipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stall_then_strike.tapes.tape_files import tape_files
from stall_then_strike.types.errors import ConfigError
from tests.e2e.commands import run

PRODUCT = "FX_BTC_JPY"
SETTINGS = (
    *("--config", "configs/sim.yml", "--set", "record.enabled=true"),
    *("--speed", "max", "--duration", "120", "--seed", "7"),
)


def made(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return [folder / name for name in names]


def test_folder_gives_its_tapes_of_the_product_in_order_of_time(tmp_path: Path) -> None:
    late, early, _, other, _ = made(
        tmp_path / "R",
        f"{PRODUCT}-20260105T01Z.jsonl.zst",
        f"{PRODUCT}-20260105T00Z.jsonl.zst",
        f"{PRODUCT}-20260105T00Z.jsonl.zst.json",
        "XRP_JPY-20260105T00Z.jsonl.zst",
        f"{PRODUCT}-20260105T02Z.jsonl.zst.part",
    )
    (own,) = made(tmp_path / "R", "my-own.jsonl")
    (events,) = made(tmp_path / "R", f"{PRODUCT}-20260105T000000Z-live.events.jsonl.zst")
    found = tape_files([tmp_path / "R"], PRODUCT)
    assert found.tapes == [early, late, own]
    assert found.passed_over == [events, other]
    assert found.words() == f"skipped, not a tape of this product: {events.name}, {other.name}"
    named = tape_files([late, events, early], PRODUCT)  # as the shell names them, in the order given
    assert (named.tapes, named.passed_over) == ([late, early], [events])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "no tape of FX_BTC_JPY; accepted"),
        (["x.events.jsonl.zst"], "no tape of FX_BTC_JPY, but 1 other recording(s); accepted"),
    ],
)
def test_no_tape_left_is_refused(names: list[str], words: str, tmp_path: Path) -> None:
    made(tmp_path / "R", *names)
    with pytest.raises(ConfigError, match="accepted: a tape") as refused:
        tape_files([tmp_path / "R"], PRODUCT)
    assert words in str(refused.value)
    with pytest.raises(ConfigError, match="nowhere: not a file or folder"):
        tape_files([tmp_path / "nowhere"], PRODUCT)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run's logs, and the folder of its recordings."""
    folder = tmp_path_factory.mktemp("recorded")
    logs, raw = folder / "logs", folder / "R"
    done = run("run_paper", "--sim", *SETTINGS, "--set", f"record.dir={raw}", "--log-dir", logs)
    assert done.returncode == 0, done.stderr
    assert list(raw.glob("*.events.jsonl.zst"))
    return logs, raw


Named = Callable[[Path], list[Path]]
WAYS: list[Named] = [lambda raw: [raw], lambda raw: sorted(raw.glob("*.jsonl.zst"))]


@pytest.mark.parametrize("named", WAYS, ids=["the folder", "its files"])
def test_report_and_backtest_take_a_folder_of_ones_own_recordings(
    named: Named, recorded: tuple[Path, Path], tmp_path: Path
) -> None:
    logs, raw = recorded
    tapes = [str(path) for path in named(raw)]
    flags = [word for tape in tapes for word in ("--tape", tape)]
    report = run("report", logs, *flags, "--out", tmp_path / "report.html")
    assert report.returncode == 0, report.stderr
    assert report.stderr.startswith("report: --tape: skipped, not a tape of this product: ")
    replayed = run("backtest", *tapes, "--config", "configs/sim.yml", "--log-dir", tmp_path / "logs")
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stderr.startswith("backtest: skipped, not a tape of this product: ")
    assert "output " in replayed.stdout


def test_event_log_alone_is_named_as_one(recorded: tuple[Path, Path], tmp_path: Path) -> None:
    (events,) = recorded[1].glob("*.events.jsonl.zst")
    for command in (
        ["backtest", events],
        ["run_paper", "--tape", events],
        ["sweep", "--grid", "paper.seed=1,2", "--tape", events],
    ):
        done = run(command[0], *command[1:])
        assert (done.returncode, done.stdout) == (2, "")
        assert "recording" in done.stderr or "event log" in done.stderr
