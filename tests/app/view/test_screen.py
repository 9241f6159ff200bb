"""Output through real pipes and terminals whose readers are slow, absent or gone."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import select
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from stall_then_strike.app.shell.command import EXIT_FAILED, EXIT_INTERRUPTED, command
from stall_then_strike.app.shell.output import QUEUE_BYTES, Outlet, watched
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.app.view.snapshot import Snapshot
from tests.app.view.snapshots import EMPTY, changed
from tests.e2e.commands import full_pipe
from tests.waiting import until

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


def read_all(fd: int) -> bytes:
    """Everything until the end of a file, whose writers are closed."""
    got = b""
    try:
        while chunk := os.read(fd, 1 << 16):
            got += chunk
    except OSError:  # a terminal without processes
        return got
    return got


def emptied(fd: int, until: bytes) -> bytes:
    """The output of a file up to some words."""
    got = b""
    while until not in got:
        assert select.select([fd], [], [], 10)[0], got[-200:]
        got += os.read(fd, 1 << 16)
    return got


@contextmanager
def terminal(rows: int = 24, columns: int = 80) -> Iterator[tuple[int, int]]:
    """Both ends of a pipe or terminal: ours to read, and the program's."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    try:
        yield ours, theirs
    finally:
        for fd in (ours, theirs):
            try:
                os.close(fd)
            except OSError:
                continue


@contextmanager
def panel() -> Iterator[tuple[int, Outlet, Screen]]:
    """Our end of a terminal, and the outlet and the screen on the other."""
    with terminal() as (ours, theirs):
        outlet = Outlet(theirs, "utf-8", patient=False)
        file = io.TextIOWrapper(outlet, "utf-8", write_through=True)
        yield ours, outlet, Screen(Console(file=file, force_terminal=True, width=80, height=24), live=True)
        outlet.finish()


# --- lines


def test_a_full_pipe_holds_nothing_up_and_what_was_lost_is_counted() -> None:
    reader, writer = full_pipe()
    outlet = Outlet(writer, "utf-8", patient=False)
    line = b"x" * 99 + b"\n"
    count = 20 * QUEUE_BYTES // len(line)
    began = time.monotonic()
    for number in range(count):
        outlet.write(b"%06d" % number + line[6:])
    assert time.monotonic() - began < 2
    outlet.write(b"the last line\n")
    text = emptied(reader, b"the last line\n").decode()
    outlet.finish()
    shown = [word for word in text.replace("\0", "").splitlines() if word]
    told = [int(word.split()[1].replace(",", "")) for word in shown if word.endswith("lines not shown")]
    assert told
    assert sum(told) + len(shown) - len(told) - 1 == count  # without the lines with counts and the last one


def test_what_is_never_read_delays_the_end_for_a_moment_only() -> None:
    _, writer = full_pipe()
    outlet = Outlet(writer, "utf-8", patient=False)
    outlet.write(b"nobody reads this\n")
    began = time.monotonic()
    outlet.finish()
    assert time.monotonic() - began < 4
    outlet.write(b"nor this\n")


def test_a_reader_that_has_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    outlet = Outlet(writer, "utf-8", patient=False)
    for _ in range(100):
        outlet.write(b"hello\n")
    outlet.finish()


def test_a_patient_command_loses_nothing() -> None:
    reader, writer = full_pipe()
    outlet = Outlet(writer, "utf-8", patient=True)
    wanted = b"".join(b"%09d\n" % number for number in range(QUEUE_BYTES // 2))
    got: list[bytes] = []
    with io.TextIOWrapper(outlet, "ascii", write_through=True) as out:
        slow = threading.Thread(target=lambda: got.append(read_all(reader)))
        slow.start()
        out.write(wanted.decode())
        outlet.finish()
    os.close(writer)
    slow.join()
    assert got[0].endswith(wanted)


def test_a_file_without_room_loses_lines_and_ends_nothing() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    outlet = Outlet(full, "utf-8", patient=False)
    for _ in range(100):
        outlet.write(b"hello\n")
    outlet.finish()
    os.close(full)


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "paper . 31 us ~ ?\n"), ("utf-8", "paper · 31 µs … 板\n")])
def test_characters_that_the_encoding_lacks_are_replaced(
    encoding: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    with path.open("w", encoding=encoding) as file:
        monkeypatch.setattr(sys, "stdout", file)
        with watched(patient=False):
            sys.stdout.write("paper · 31 µs … 板\n")
    assert path.read_text(encoding=encoding) == shown


def test_names_that_are_no_text_can_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "out").open("w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", file)
        with watched(patient=False):
            sys.stdout.write("tape \udcff.jsonl\n")
    assert (tmp_path / "out").read_text() == "tape ?.jsonl\n"


def test_one_file_keeps_the_order_of_both_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "both").open("w") as out, os.fdopen(os.dup(out.fileno()), "w") as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        with watched(patient=False):
            for number in range(50):
                print(number, file=sys.stdout if number % 2 else sys.stderr)
    assert (tmp_path / "both").read_text().split() == [str(number) for number in range(50)]


# --- the panel


async def shown_for(
    seconds: float, screen: Screen, snapshot: Callable[[], Snapshot], is_enough: Callable[[], object] = lambda: True
) -> None:
    """Show, as a run does, and longer until it is enough; fails if the display ends by itself."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(screen.show(snapshot))
        await asyncio.sleep(seconds)
        await until(is_enough)
        assert not task.done()
        task.cancel()


def snapshot() -> Snapshot:
    return EMPTY


async def test_the_panel_gives_the_terminal_back_and_what_was_written_meanwhile() -> None:
    with panel() as (ours, outlet, screen):
        assert screen.is_panel
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(screen.show(snapshot))
            drawn = await asyncio.to_thread(emptied, ours, b"working orders")
            outlet.write(b"a warning\n")
            task.cancel()
        screen.end("the summary")
        drawn += await asyncio.to_thread(emptied, ours, b"the summary")
    assert drawn.count(ENTER) == drawn.count(LEAVE) == 1
    assert drawn.index(ENTER) < drawn.index(b"working orders") < drawn.index(LEAVE)
    assert drawn.index(LEAVE) < drawn.index(b"a warning") < drawn.index(b"the summary")


async def test_a_terminal_that_is_read_again_shows_the_newest_frame() -> None:
    with panel() as (ours, _, screen):
        count = 0

        def next_snapshot() -> Snapshot:
            nonlocal count
            count += 1
            return changed(EMPTY, mode=f"frame {count:04d}.")

        await shown_for(0, screen, next_snapshot, lambda: count > 20)  # a terminal takes less than two frames unread
        drawn = await asyncio.to_thread(emptied, ours, LEAVE)
    assert drawn.count(b"frame ") < count // 2


async def test_a_terminal_that_is_closed_ends_no_run() -> None:
    with panel() as (ours, _, screen):
        os.close(ours)
        await shown_for(0.6, screen, snapshot)
        screen.end("summary")


async def test_a_snapshot_that_cannot_be_taken_ends_no_run() -> None:
    def broken() -> Snapshot:
        raise ZeroDivisionError

    with panel() as (_, _, screen):
        await shown_for(0.1, screen, broken)


def test_a_terminal_that_knows_no_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with panel() as (_, _, screen):
        assert not screen.is_panel


# --- what a command comes to


def test_a_bug_is_shown_and_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    @command("broken")
    def main(argv: Sequence[str] | None = None) -> int:
        raise RuntimeError("a bug")

    assert main() == EXIT_FAILED
    assert "RuntimeError: a bug" in capsys.readouterr().err


def test_ctrl_c_before_a_run_needs_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    @command("early")
    def main(argv: Sequence[str] | None = None) -> int:
        raise KeyboardInterrupt

    assert main() == EXIT_INTERRUPTED
    assert capsys.readouterr().err == "early: interrupted\n"
