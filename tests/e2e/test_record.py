"""``record`` as its user knows it: what is on disk after a signal, a kill, a full disk; exit codes and words."""

from __future__ import annotations

import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stall_then_strike.tapes.tape_reader import read_tape
from tests.e2e.commands import dead_port, newest, read_line, run, running, wait_until
from tests.research.replay.replay_rig import frames, manifest, texts

READY = r"sim_exchange ready rest=(\S+) ws=(\S+)"


DROPPED = "the book is unknown until the next snapshot"


@contextmanager
def exchange(*flags: str | Path) -> Iterator[list[str | Path]]:
    """An exchange, and the flags that point a command at it."""
    with running("sim_exchange", "--maintenance", "off", *flags) as process:
        rest, ws = read_line(process, READY).groups()
        yield ["--set", f"exchange.base_url={rest}", "--set", f"exchange.ws_url={ws}"]


def part(folder: Path) -> Path | None:
    return next(iter(folder.glob("*.part")), None)


def has(folder: Path, count: int) -> bool:
    """Whether so many messages can be read of what is being recorded."""
    path = part(folder)
    return path is not None and len(texts(path)) >= count


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_loses_nothing(number: signal.Signals, tmp_path: Path) -> None:
    """The exchange plays a tape as fast as it is taken, and ends: all of it is known."""
    played = tmp_path / "played.jsonl"
    sent = frames(60)
    played.write_text("".join(f'{{"recv_ns":{f.time_ns},"msg":{f.text}}}\n' for f in sent))
    raw = tmp_path / "raw"
    with running("sim_exchange", "--tape", played, "--speed", "max") as venue:
        rest, ws = read_line(venue, READY).groups()
        flags = ["--set", f"exchange.base_url={rest}", "--set", f"exchange.ws_url={ws}"]
        with running("record", *flags, "--out", raw, "--log-dir", tmp_path / "logs") as process:
            read_line(venue, "stopped: end of tape")
            logs = newest(tmp_path / "logs") / "runtime"
            wait_until("the end of the connection", lambda: any(DROPPED in log.read_text() for log in logs.iterdir()))
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert f"stopped: {number.name}" in out
    (path,) = raw.glob("*.zst")
    got = [text for text in texts(path) if '"channelMessage"' in text]
    for kind in ("board", "board_snapshot", "executions", "ticker"):
        channel = f'"lightning_{kind}_FX_BTC_JPY"'
        of_kind = [text for text in got if channel in text]
        assert of_kind
        assert of_kind == [f.text for f in sent if channel in f.text][-len(of_kind) :]
    assert len(got) > 0.9 * len(sent)
    assert manifest(path)["ended"] == number.name


def test_kill_leaves_a_readable_tape_that_the_next_start_finishes(tmp_path: Path) -> None:
    with exchange("--speed", "10") as flags:
        command = [*flags, "--out", tmp_path / "raw", "--log-dir", tmp_path / "logs"]
        with running("record", *command) as first:
            wait_until("a hundred messages on disk", lambda: has(tmp_path / "raw", 100))
            first.kill()
            first.wait(timeout=30)
        left = part(tmp_path / "raw")
        assert left is not None
        before = texts(left)
        assert len(before) >= 100
        with running("record", *command) as second:
            wait_until("a hundred more", lambda: not left.exists() and has(tmp_path / "raw", 100))
            second.send_signal(signal.SIGTERM)
            _, err = second.communicate(timeout=30)
    assert second.returncode == 0, err
    assert "left by a crash" in err
    old, new = sorted((tmp_path / "raw").glob("*.zst"))
    assert texts(old) == before
    assert (manifest(old)["ended"], manifest(new)["ended"]) == ("crash", "SIGTERM")
    assert part(tmp_path / "raw") is None


def test_full_disk_is_named_and_the_tape_stays_readable(tmp_path: Path) -> None:
    with (
        exchange("--speed", "10") as flags,
        running("record", *flags, "--out", tmp_path / "raw", "--log-dir", tmp_path / "logs") as process,
    ):
        wait_until("fifty messages on disk", lambda: has(tmp_path / "raw", 50))
        path = part(tmp_path / "raw")
        assert path is not None
        limit = path.stat().st_size + 2_000
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))  # no file may grow beyond
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot be written" in err
    assert "Traceback" not in err
    left = part(tmp_path / "raw")
    assert left is not None
    assert len(texts(left)) >= 50


def test_two_products_one_of_them_silent(tmp_path: Path) -> None:
    with exchange() as flags:
        ended = run(
            "record",
            *flags,
            *("--product", "FX_BTC_JPY", "--product", "NO_SUCH", "--duration", "9"),
            *("--set", "ws.connect_timeout_sec=6", "--out", tmp_path / "raw", "--log-dir", tmp_path / "logs"),
        )
    assert ended.returncode == 1
    assert "NO_SUCH: no book was recorded" in ended.stderr
    assert "stopped: duration over" in ended.stdout
    assert re.search(r"FX_BTC_JPY: \d+ messages, connected, 0 drops, mid agreed (\d+) of \1", ended.stdout)
    assert next(iter(read_tape(next((tmp_path / "raw").glob("FX_BTC_JPY-*.zst"))))).recv_ns


def test_nobody_there_ends_with_1(tmp_path: Path) -> None:
    dead = f"ws://127.0.0.1:{dead_port()}/json-rpc"
    ended = run(
        "record",
        *("--set", f"exchange.ws_url={dead}", "--set", "ws.connect_timeout_sec=1"),
        *("--out", tmp_path / "raw", "--log-dir", tmp_path / "logs"),
    )
    assert ended.returncode == 1
    assert dead in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--product", "fx btc"], ["--product", "fx btc", "FX_BTC_JPY"]),
        (["--product", "FX_BTC_JPY", "--product", "FX_BTC_JPY"], ["FX_BTC_JPY", "more than once"]),
        (["--set", "record.dirr=x"], ["record.dirr", "record.dir"]),
        (["--duration", "0"], ["--duration"]),
        (
            ["--config", "configs/lighter-sim.yml", "--product", "XRP-USDC"],
            ["XRP-USDC", "ETH, BTC, SOL"],
        ),
    ],
)
def test_bad_input_is_named_and_ends_with_2(flags: list[str], words: list[str], tmp_path: Path) -> None:
    ended = run("record", *flags, "--out", tmp_path / "raw", "--log-dir", tmp_path / "logs")
    assert ended.returncode == 2
    for word in words:
        assert word in ended.stderr
    assert list(tmp_path.iterdir()) == []
