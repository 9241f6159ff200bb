"""Commands whose output is not read, cannot be read, or has lost its reader; and signals that are to be ignored.

Whoever watches can neither hold a command up nor end it: it does its work in its time, and its exit code is its own.
"""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.commands import (
    REPO,
    TIMEOUT_S,
    app_log,
    full_pipe,
    newest,
    read_line,
    rows,
    run,
    running,
    start,
    wait_until,
)
from tests.e2e.forked import Forked

BIN = REPO / ".venv" / "bin"
KEYS = {"BITFLYER_API_KEY": "demo-key", "BITFLYER_API_SECRET": "made-up-secret"}
XTERM = {"TERM": "xterm-256color"}
ALL = sorted(tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["scripts"])
IGNORING = ("sh", "-c", 'trap "" HUP INT; exec "$0" "$@"')
"""What `nohup` does, and a shell with `&` in a script."""
CLOSED = ("sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-')

Flags = list[str]


@pytest.fixture(scope="module")
def venue() -> Iterator[Flags]:
    """An exchange, and the flags that point a command at it."""
    account = ("--api-key", "demo-key", "--api-secret", "made-up-secret")
    with running("sim_exchange", "--speed", "5", "--maintenance", "off", *account) as process:
        rest, ws = read_line(process, r"sim_exchange ready rest=(\S+) ws=(\S+)").groups()
        yield ["--set", f"exchange.base_url={rest}", "--set", f"exchange.ws_url={ws}"]


def line(command: str, folder: Path, venue: Flags, seconds: float) -> Flags:
    """A command that runs for so long, the embedded exchange's time being five times as fast."""
    own = seconds * 5 if command in ("run_live", "run_paper") else seconds
    lasting = ["--duration", f"{own:g}"]
    logs = ["--log-dir", str(folder / "logs")]
    return [
        str(BIN / command),
        *{
            "run_live": ["--config", "configs/sim.yml", "--set", "sim.speed=5", "--yes", *logs],
            "run_paper": ["--sim", "--speed", "5", *logs],
            "record": [*venue, "--out", str(folder / "raw"), *logs],
            "watchdog": [*venue, "--set", f"journal.dir={folder}", *logs],
            "sim_exchange": [],
        }[command],
        *lasting,
    ]


def started(words: Flags, out: int, *, env: dict[str, str] | None = None, **how: bool) -> subprocess.Popen[bytes]:
    """A process that shows all it has to say in one file."""
    return subprocess.Popen(
        words,
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        env={**os.environ, **KEYS, **XTERM, **(env or {})},
        **how,  # type: ignore[call-overload] # start_new_session
    )


def end_of(words: Flags, out: int) -> int:
    """The exit code of a command that is forked and shows all it has to say in one file."""
    process = Forked(Path(words[0]).name, *words[1:], stdout=out, stderr=out, env={**os.environ, **KEYS, **XTERM})
    try:
        return process.wait(TIMEOUT_S)
    finally:
        process.kill()


def is_in_log(folder: Path, words: str) -> bool:
    return words in app_log(folder / "logs")


def ended(process: subprocess.Popen[bytes]) -> int:
    with process:  # its pipes are closed with it
        try:
            return process.wait(TIMEOUT_S)
        finally:
            process.kill()


# --- output


def pipe_full() -> tuple[int, int]:
    return full_pipe()


def pipe_gone() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.close(reader)
    return -1, writer


def terminal() -> tuple[int, int]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    return ours, theirs


def terminal_gone() -> tuple[int, int]:
    ours, theirs = terminal()
    os.close(ours)
    return -1, theirs


@contextmanager
def opened(how: Callable[[], tuple[int, int]]) -> Iterator[int]:
    ours, theirs = how()
    try:
        yield theirs
    finally:
        for fd in (ours, theirs):
            with suppress(OSError):
                os.close(fd)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "how"),
    [
        *(("run_paper", how) for how in (pipe_full, pipe_gone, terminal, terminal_gone)),
        *(("run_live", how) for how in (pipe_full, terminal)),
        *((command, how) for command in ("sim_exchange", "record", "watchdog") for how in (pipe_full, pipe_gone)),
    ],
)
def test_output_that_is_not_read_changes_no_end(
    command: str, how: Callable[[], tuple[int, int]], venue: Flags, tmp_path: Path
) -> None:
    with opened(how) as out:
        code = end_of(line(command, tmp_path, venue, 2), out)
    assert code == 0
    if command in ("run_live", "run_paper"):
        assert is_in_log(tmp_path, "ended: duration over")
    if command == "record":
        assert list((tmp_path / "raw").glob("*.zst"))


@pytest.mark.slow
def test_a_terminal_that_is_not_read_holds_no_quote_up(tmp_path: Path) -> None:
    with opened(terminal) as out:
        assert end_of(line("run_paper", tmp_path, [], 8), out) == 0
    stamps = [row["ts"] for row in rows(tmp_path / "logs", "decisions") if row["decision_type"] == "strike"]
    seconds = {stamp[:19] for stamp in stamps}
    assert len(seconds) > 4, stamps


@pytest.mark.parametrize("command", ["run_paper", "sim_exchange"])
def test_files_that_are_closed_at_the_start_change_no_end(command: str, tmp_path: Path) -> None:
    process = started([*CLOSED, *line(command, tmp_path, [], 1)], subprocess.DEVNULL)
    assert ended(process) == 0
    if command == "run_paper":
        for path in (newest(tmp_path / "logs") / "decisions").glob("*.csv"):
            assert path.read_text().startswith("ts,")


@pytest.mark.slow
@pytest.mark.parametrize("out", [subprocess.PIPE, None])
def test_an_encoding_without_our_characters_changes_no_end(out: int | None, tmp_path: Path) -> None:
    env = {"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "COLUMNS": "100"}
    ours, theirs = terminal()
    process = started(line("run_paper", tmp_path, [], 2), theirs if out is None else out, env=env)
    os.close(theirs)
    drawn = b""
    if out is None:
        with suppress(OSError):  # the end of a terminal
            while chunk := os.read(ours, 1 << 16):
                drawn += chunk
    else:
        drawn, _ = process.communicate(timeout=TIMEOUT_S)
    os.close(ours)
    assert ended(process) == 0
    text = drawn.decode("ascii")
    assert "summary" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("command", ALL)
def test_every_command_survives_a_reader_that_has_gone(command: str) -> None:
    """Its help is text like any other: a command that writes past the output's thread fails here."""
    with opened(pipe_gone) as out:
        process = start(command, "--help", stdout=out)
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, "")


def test_an_answer_is_whole_however_slowly_it_is_read(tmp_path: Path) -> None:
    assert run("tape", "sample", "--seconds", "1", "-o", tmp_path / "t.jsonl").returncode == 0
    names = [str(tmp_path / "t.jsonl")] * 2000
    process = start("tape", "check", *names)
    time.sleep(1)
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert len([word for word in out.splitlines() if "good" in word or "BAD" in word]) == len(names)


# --- signals

RUNNING = {
    "run_paper": "feed is live",
    "record": "recording",
    "watchdog": "waiting for a heartbeat",
    "run_live": "feed and private channel are live",
}


def until_running(command: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    if command in RUNNING:
        wait_until("the start", lambda: is_in_log(folder, RUNNING[command]) or process.poll() is not None)
    else:
        if process.stdout is None:
            raise AssertionError("its words are wanted")
        process.stdout.readline()
    assert process.poll() is None


@pytest.mark.slow
@pytest.mark.parametrize("command", ["sim_exchange", "record", "watchdog", "run_live"])
def test_signals_that_were_ignored_at_the_start_stay_ignored(command: str, venue: Flags, tmp_path: Path) -> None:
    process = started([*IGNORING, *line(command, tmp_path, venue, 60)], subprocess.PIPE)
    until_running(command, tmp_path, process)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == 0


@pytest.mark.slow
def test_a_hangup_without_a_terminal_reads_the_settings_and_the_run_goes_on(tmp_path: Path) -> None:
    process = started(line("run_paper", tmp_path, [], 60), subprocess.DEVNULL, start_new_session=True)
    until_running("run_paper", tmp_path, process)
    process.send_signal(signal.SIGHUP)
    wait_until("the word on it", lambda: is_in_log(tmp_path, "operator: reload by SIGHUP: nothing differs"))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == 0
    assert is_in_log(tmp_path, "stopping: SIGTERM")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run_paper", "run_live"])
def test_a_terminal_that_hangs_up_stops_its_run_in_good_order(command: str, tmp_path: Path) -> None:
    pid, ours = pty.fork()
    if not pid:
        os.chdir(REPO)
        os.execv(BIN / command, line(command, tmp_path, [], 60))  # noqa: S606 - the child of a fork
    try:
        os.set_blocking(ours, False)

        def is_trading() -> bool:
            with suppress(OSError):
                os.read(ours, 1 << 16)
            return is_in_log(tmp_path, RUNNING[command])

        wait_until("the start", is_trading)
        os.close(ours)
        os.kill(pid, signal.SIGHUP)  # as the shell does, beside the system
        wait_until("the end", lambda: is_in_log(tmp_path, "ended: SIGHUP"))
        assert is_in_log(tmp_path, "stopping: SIGHUP")
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0
