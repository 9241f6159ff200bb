"""The runtime log: what a person follows with ``tail -f``.

``app.log`` takes records from INFO. ``ws.log`` takes those bound with ``channel="ws"`` from DEBUG; of these only
warnings and errors also go to ``app.log``. The console, if wanted, shows its level and above on stderr. One record is
one line, except for tracebacks. Records of libraries (standard ``logging``) are included; those of the transport go to
``ws.log``, and only its errors to ``app.log``, because this program logs what matters about the connection itself.

Logging never blocks and never raises: the caller's thread formats the line and puts it into a bounded queue, and one
thread writes. (loguru's own ``enqueue`` is a pipe of 64 kB: with a hanging disk it would stop the event loop after some
thirty lines.) While the queue or the disk is full, lines are lost and counted. No record shows the values of local
variables (loguru's ``diagnose``), so no credential gets into a traceback.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from loguru import logger

from stall_then_strike.config.models import LogConfig
from stall_then_strike.types.errors import LogError

if TYPE_CHECKING:
    from loguru import FilterFunction, Record

QUEUE_LINES: Final = 10_000
"""Lines that may wait for a slow disk."""
CLOSE_S: Final = 5.0
"""How long closing waits for a hanging disk, in seconds."""

_LINE: Final = "{time:YYYY-MM-DD HH:mm:ss.SSS!UTC}Z | <level>{level: <8}</level> | {extra[_text]}\n{exception}"
_TRANSPORT: Final = ("pybotters", "aiohttp")
_ROUTE: Final = "_route"
"""Extra that marks a formatted line with its file, so that only that file's sink takes it."""

# A message may quote what came over the wire: it must not fake a log line or control the terminal.
_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {10: "\\n", 13: "\\r", 9: "\\t"}


def setup_runtime_logging(log_dir: Path, cfg: LogConfig, *, console: str | None = None) -> RuntimeLog:
    """Start the runtime log in a folder, which is created if missing.

    ``console`` is the lowest level shown on stderr, None if something else draws on the terminal. Raises LogError if a
    file cannot be opened.
    """
    return RuntimeLog(log_dir, cfg, console=console)


class RuntimeLog:
    """The running log. Close it, or use it as a context manager: otherwise the last lines may not be written."""

    def __init__(self, log_dir: Path, cfg: LogConfig, *, console: str | None) -> None:
        """Open the files and replace all existing sinks of loguru."""
        self.lost = 0
        """Lines that were not written: the queue was full or a write failed."""
        self.failure: LogError | None = None
        """Why the first failed write failed, such as a full disk."""
        self._console = console
        self._lines: queue.Queue[tuple[str, str] | None] = queue.Queue(QUEUE_LINES)
        self._sinks: list[int] = []
        self._bridge = _Bridge()
        self._writer = threading.Thread(target=self._write_all, name="runtime-log", daemon=True)
        logger.remove()
        try:
            for name in ("app", "ws"):
                self._sinks.append(_open(log_dir, name, cfg))
        except LogError:
            self._remove_sinks()
            raise
        self._queue_records("app", "INFO", _for_app)
        self._queue_records("ws", "DEBUG", _for_ws)
        if console is not None:
            self._queue_records("console", console, _for_app)
        self._bridge.install()
        self._writer.start()

    def close(self) -> None:
        """Stop taking records, write those in the queue, close the files. Safe to call twice.

        Gives up after :data:`CLOSE_S` if the disk hangs.
        """
        self._bridge.remove()
        if self._writer.is_alive():
            try:
                self._lines.put(None, timeout=CLOSE_S)
                self._writer.join(CLOSE_S)
            except queue.Full:
                self.lost += self._lines.qsize()
        self._remove_sinks()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def _queue_records(self, route: str, level: str, wanted: FilterFunction) -> None:
        colours = route == "console" and sys.stderr.isatty()
        sink = logger.add(
            partial(self._put, route),
            level=level,
            filter=wanted,
            format=_one_line,
            colorize=colours,
            diagnose=False,
            backtrace=False,
        )
        self._sinks.append(sink)

    def _put(self, route: str, line: str) -> None:
        try:
            self._lines.put_nowait((route, line))
        except queue.Full:
            self.lost += 1

    def _write_all(self) -> None:
        """Run the writer's thread: the only place that waits for a disk or a terminal."""
        while (item := self._lines.get()) is not None:
            route, line = item
            try:
                if route == "console":
                    sys.stderr.write(line)
                    sys.stderr.flush()
                else:
                    logger.bind(**{_ROUTE: route}).opt(raw=True).info(str(line))
            except (OSError, ValueError) as error:  # ValueError: stderr was closed
                self._failed(error)

    def _failed(self, error: OSError | ValueError) -> None:
        self.lost += 1
        if self.failure is None:
            self.failure = LogError(f"the runtime log cannot be written: {getattr(error, 'strerror', None) or error}")
            if self._console is not None:
                with suppress(OSError, ValueError):
                    sys.stderr.write(f"{self.failure}; lines are lost until it can\n")

    def _remove_sinks(self) -> None:
        for sink in self._sinks:
            try:
                _remove(sink)
            except OSError as error:  # closing flushes, and the disk may still be full
                self._failed(error)
        self._sinks.clear()


def _open(log_dir: Path, name: str, cfg: LogConfig) -> int:
    path = log_dir / f"{name}.log"
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        return logger.add(
            str(path).replace("{", "{{").replace("}", "}}"),  # loguru treats it as a format string
            level=0,
            filter=partial(_is_routed_to, name),
            format="{message}",
            rotation=cfg.rotation,
            retention=cfg.retention,
            encoding="utf-8",
            errors="backslashreplace",
            watch=True,  # go on in a new file if someone moves this one away
            catch=False,  # our writer thread handles the error
            diagnose=False,
            backtrace=False,
        )
    except OSError as error:
        raise LogError(f"the runtime log {path} cannot be opened: {error.strerror or error}") from error


def _remove(sink: int) -> None:
    try:
        logger.remove(sink)
    except ValueError:
        return  # someone removed it already


def _is_routed_to(name: str, record: Record) -> bool:
    return record["extra"].get(_ROUTE) == name


def _for_app(record: Record) -> bool:
    extra = record["extra"]
    from_level = {"app": logging.NOTSET, "ws": logging.WARNING, "transport": logging.ERROR}
    return _ROUTE not in extra and record["level"].no >= from_level[extra.get("channel", "app")]


def _for_ws(record: Record) -> bool:
    extra = record["extra"]
    return _ROUTE not in extra and extra.get("channel") in ("ws", "transport")


def _one_line(record: Record) -> str:
    record["extra"]["_text"] = record["message"].translate(_CONTROL)
    return _LINE


class _Bridge(logging.Handler):
    """Hands the standard library's log records to loguru."""

    def __init__(self) -> None:
        super().__init__()
        self._levels: dict[str | None, int] = {}

    def install(self) -> None:
        """Receive all records from INFO, the transport's from DEBUG."""
        wanted: list[tuple[str | None, int]] = [(None, logging.INFO), *((name, logging.DEBUG) for name in _TRANSPORT)]
        for name, level in wanted:
            stdlib = logging.getLogger(name)
            self._levels[name] = stdlib.level
            stdlib.setLevel(level)
        logging.getLogger().addHandler(self)

    def remove(self) -> None:
        """Restore the standard library's loggers."""
        logging.getLogger().removeHandler(self)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        self._levels.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on."""
        try:
            text = f"{record.name}: {record.getMessage()}"
        except Exception:  # noqa: BLE001 - a library's broken record must not raise into its caller: logging's own rule
            self.handleError(record)
            return
        channel = "transport" if record.name.partition(".")[0] in _TRANSPORT else "app"
        level: str | int = record.levelname if record.levelname in logging.getLevelNamesMapping() else record.levelno
        logger.bind(channel=channel).opt(exception=record.exc_info).log(level, text)
