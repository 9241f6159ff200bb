"""The runtime log's files: what lands where, what a line looks like, and what a bad disk may do."""

from __future__ import annotations

import gc
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loguru import logger

from stall_then_strike.config.models import LogConfig
from stall_then_strike.infra.logging_runtime import setup_runtime_logging
from stall_then_strike.types.errors import LogError

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z \| [A-Z]+ *\| .*")


@pytest.fixture(autouse=True)
def only_our_sinks() -> Iterator[None]:
    logger.remove()
    yield
    logger.remove()


def lines(path: Path) -> list[str]:
    return [line.partition("Z | ")[2] for line in path.read_text().splitlines()]


def test_records_land_in_their_files(tmp_path: Path) -> None:
    ws = logger.bind(channel="ws")
    with setup_runtime_logging(tmp_path, LogConfig(), console=None):
        logger.debug("not kept")
        logger.info("started")
        ws.debug("subscribed")
        ws.info("connected")
        ws.warning("closed by the venue")
        logger.error("halted")
    assert lines(tmp_path / "app.log") == [
        "INFO     | started",
        "WARNING  | closed by the venue",
        "ERROR    | halted",
    ]
    assert lines(tmp_path / "ws.log") == [
        "DEBUG    | subscribed",
        "INFO     | connected",
        "WARNING  | closed by the venue",
    ]


def test_one_record_is_one_line_with_utc_milliseconds_whatever_it_holds(tmp_path: Path) -> None:
    hostile = "a\nb\r\x1b[31mred\x00 {not a field} <red>no tag</red> \ud800 静止"
    with setup_runtime_logging(tmp_path, LogConfig(), console=None):
        logger.info(hostile)
        logger.info("got {}", hostile)
    written = (tmp_path / "app.log").read_text().splitlines()
    assert len(written) == 2
    assert all(LINE.fullmatch(line) for line in written)
    assert "a\\nb\\r\\x1b[31mred\\x00 {not a field} <red>no tag</red> \\ud800 静止" in written[0]


def test_standard_logging_joins_in_and_is_left_as_found(tmp_path: Path) -> None:
    before = (logging.getLogger().handlers[:], logging.getLogger().level, logging.getLogger("pybotters").level)
    with setup_runtime_logging(tmp_path, LogConfig(), console=None):
        logging.getLogger("asyncio").warning("slow callback %d ms", 120)
        logging.getLogger("aiohttp.access").info("GET /v1/getboard {}")
        logging.getLogger("pybotters.ws").debug("frame")
        logging.getLogger("pybotters.ws").warning("refused")
        logging.getLogger("pybotters.ws").error("broken")
    assert (logging.getLogger().handlers[:], logging.getLogger().level, logging.getLogger("pybotters").level) == before
    assert lines(tmp_path / "app.log") == [
        "WARNING  | asyncio: slow callback 120 ms",
        "ERROR    | pybotters.ws: broken",
    ]
    assert lines(tmp_path / "ws.log") == [
        "INFO     | aiohttp.access: GET /v1/getboard {}",
        "DEBUG    | pybotters.ws: frame",
        "WARNING  | pybotters.ws: refused",
        "ERROR    | pybotters.ws: broken",
    ]


def test_traceback_shows_no_values(tmp_path: Path) -> None:
    def sign(api_secret: str) -> None:
        raise RuntimeError("no")

    with setup_runtime_logging(tmp_path, LogConfig(), console=None):
        try:
            sign("hunter2" * 2)
        except RuntimeError:
            logger.exception("signing failed")
    text = (tmp_path / "app.log").read_text()
    assert "RuntimeError: no" in text
    assert "hunter2hunter2" not in text


def test_console_shows_info_only_when_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with setup_runtime_logging(tmp_path / "quiet", LogConfig(), console=None):
        logger.warning("into the file")
    assert capsys.readouterr() == ("", "")
    with setup_runtime_logging(tmp_path / "loud", LogConfig(), console="INFO"):
        logger.debug("no")
        logger.bind(channel="ws").info("no")
        logger.info("yes")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("| INFO     | yes\n")
    assert err.count("\n") == 1


def test_large_log_starts_anew_and_keeps_the_old_part(tmp_path: Path) -> None:
    with setup_runtime_logging(tmp_path, LogConfig(rotation="10 KB"), console=None):
        for number in range(400):
            logger.info("line {:04d} {}", number, "x" * 40)
    parts = sorted(tmp_path.glob("app*.log"), key=lambda path: path.stat().st_mtime_ns)
    assert len(parts) > 2
    assert all(part.stat().st_size <= 10_000 for part in parts)
    numbers = sorted(int(line.split()[6]) for part in parts for line in part.read_text().splitlines())
    assert numbers == list(range(400))


def test_next_run_continues_the_file(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with setup_runtime_logging(tmp_path, LogConfig(), console=None) as log:
            logger.info(text)
        log.close()
    assert [line[-6:].strip() for line in lines(tmp_path / "app.log")] == ["first", "second"]


def test_log_that_others_truncate_or_take_away_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "{runtime}"
    path = folder / "app.log"
    with setup_runtime_logging(folder, LogConfig()):
        for what in (lambda: os.truncate(path, 0), path.unlink, lambda: shutil.rmtree(folder)):
            logger.info("before")
            wait_for(lambda: path.is_file() and "before" in path.read_text())
            what()
            logger.info("after")
            wait_for(lambda: path.is_file() and "after" in path.read_text())
            assert b"\0" not in path.read_bytes()
            assert "before" not in path.read_text()


def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait until the log's thread has got this far."""
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_folder_that_cannot_be_made_is_an_error_by_name(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file is in the way")
    with pytest.raises(LogError, match=r"runtime log .*/logs/runtime/app\.log cannot be opened: Not a directory"):
        setup_runtime_logging(tmp_path / "logs" / "runtime", LogConfig(), console=None)


def test_file_that_cannot_be_opened_is_an_error_by_name_and_leaves_no_sink(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ws.log").mkdir()
    with pytest.raises(LogError, match=r"ws\.log cannot be opened: Is a directory"):
        setup_runtime_logging(tmp_path, LogConfig(), console=None)
    logger.info("nobody listens")
    assert (tmp_path / "app.log").read_text() == ""
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the full device of Linux")
# loguru leaves a file to the garbage collector when its last flush fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_full_disk_loses_lines_but_not_the_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app.log").symlink_to("/dev/full")
    with setup_runtime_logging(tmp_path, LogConfig(), console="INFO") as log:
        logger.info("one")
        logger.info("two")
        logger.bind(channel="ws").debug("this disk is fine")
    assert "No space left on device" in str(log.failure)
    assert log.lost >= 2
    assert lines(tmp_path / "ws.log") == ["DEBUG    | this disk is fine"]
    err = capsys.readouterr().err
    assert err.count("the runtime log cannot be written: No space left on device; lines are lost until it can") == 1
    assert "Traceback" not in err
    gc.collect()


def test_hanging_disk_does_not_hold_up_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stall_then_strike.infra.logging_runtime.QUEUE_LINES", 50)
    monkeypatch.setattr("stall_then_strike.infra.logging_runtime.CLOSE_S", 0.05)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(write_end, True)
    (tmp_path / "app.log").symlink_to(f"/proc/self/fd/{write_end}")  # a file whose writes wait for a reader
    with setup_runtime_logging(tmp_path, LogConfig(), console=None) as log:
        for number in range(200):
            logger.info("line {}", number)  # returns each time
        log.close()
        assert log.lost >= 100
        os.set_blocking(read_end, False)
        os.read(read_end, 1 << 20)
    os.close(read_end)
