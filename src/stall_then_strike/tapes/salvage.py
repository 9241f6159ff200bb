"""The folder of recordings: one process per product, and files that a crash left behind are finished first.

A ``.part`` file of a crashed run is read as far as it goes and rewritten as a complete file under its final name, with
a manifest that says so. Only then is it deleted. A ``.part`` file with damaged data before its end, which a crash does
not cause, is kept as ``.damaged``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Self

import orjson
from loguru import logger

from stall_then_strike.config.models import ExchangeConfig
from stall_then_strike.config.venue import BITFLYER
from stall_then_strike.infra.file_lock import FileLock, holder
from stall_then_strike.tapes.part_file import PART, PartFile
from stall_then_strike.tapes.tape_audit import TapeAudit
from stall_then_strike.tapes.tape_reader import LineFile, TapeError
from stall_then_strike.tapes.tape_writer import TAPE, finish_tape, tape_line
from stall_then_strike.types.errors import LogError

EVENTS: Final = ".events.jsonl.zst"
_SALVAGE: Final = ".salvage"


class RecordFolder:
    """One product's recordings in a folder, locked for this process; a context manager."""

    def __init__(self, folder: Path, exchange: ExchangeConfig) -> None:
        """Touch nothing yet."""
        self.folder = folder
        self._exchange = exchange
        self._lock = FileLock(folder / f".{exchange.product_code}.lock")

    def __enter__(self) -> Self:
        """Lock the folder and finish files that a crash left behind. Raises LogError."""
        product = self._exchange.product_code
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        except BlockingIOError as error:
            who = holder(self._lock.path) or "another process"
            raise LogError(f"{product} is being recorded in {self.folder} by {who}; choose another folder") from error
        except OSError as error:
            raise LogError(f"{self.folder} cannot be written to: {error.strerror}") from error
        try:
            for part in sorted(self.folder.glob(f"{product}-*{TAPE}{PART}")):
                self._finish(part)
        except OSError as error:
            self._lock.release()
            raise LogError(
                f"{error.filename or self.folder}: a tape left by a crash cannot be finished: {error.strerror}"
            ) from error
        return self

    def __exit__(self, *exc: object) -> None:
        """Release the lock."""
        self._lock.release()

    def _finish(self, part: Path) -> None:
        path = part.with_name(part.name.removesuffix(PART))
        if path.exists():  # an earlier salvage crashed after publishing the file, before deleting the part
            part.unlink()
            return
        part.with_name(path.name + _SALVAGE).unlink(missing_ok=True)
        audit = TapeAudit(self._exchange)
        file = PartFile(path, part=_SALVAGE)
        lines, damage = _copy(part, file, None if path.name.endswith(EVENTS) else audit)
        if not lines:
            file.abandon()
            file.part.unlink()
        elif path.name.endswith(EVENTS):
            file.seal()
            file.publish()
        else:
            more = {"product": self._exchange.product_code, "source": self._exchange.ws_url, "ended": "crash"}
            if self._exchange.name != BITFLYER:
                more["venue"] = self._exchange.name
            finish_tape(file, audit, {**more, "damage": damage} if damage else more)
        if damage:
            part.replace(part.with_name(path.name + ".damaged"))
            logger.error("{}: {}; kept next to {} as .damaged", part, damage, path.name)
        else:
            part.unlink()
        logger.warning(
            "{}: left by a crash; {} lines recovered into {}", part, lines, path.name if lines else "no file"
        )


def _copy(part: Path, file: PartFile, audit: TapeAudit | None) -> tuple[int, str]:
    """Copy all complete lines; return their number and the damage after them, empty for a mere cut-off end."""
    number = 0
    with LineFile(part) as lines:
        try:
            while (line := lines.readline()).endswith(b"\n"):
                entry: Any = orjson.loads(line) if audit is not None else None
                file.write(line)
                number += 1
                if audit is not None:
                    audit.add(entry["recv_ns"], entry["msg"], len(line) - len(tape_line(entry["recv_ns"], b"")))
        except TapeError as error:
            return number, str(error)
        except (ValueError, KeyError, TypeError) as error:
            return number, f"line {number + 1}: {error}"
    return number, ""
