"""Replays a recorded run: the same events, given to a new core, produce the same steps, row for row."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stall_then_strike.config.loader import load_app_config
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.portfolio import Taken
from stall_then_strike.engine.strategies import configured
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.tapes.event_codec import decode, decode_event
from stall_then_strike.tapes.event_log import ASKED, LOST, VERSION, Asked, Beginning, Beginnings
from stall_then_strike.tapes.tape_reader import LineFile, TapeError
from stall_then_strike.types.dto import CoreMemo, Event, Row
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.venues.venue_rules import venue_rules


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """The first line of an event log: the run before its first event."""

    path: Path
    program: str
    product: str
    mode: str
    cfg: AppConfig
    beginnings: Beginnings


def open_run(path: Path) -> RecordedRun:
    """Read the first line. Raises TapeError, OSError."""
    with LineFile(path) as lines:
        header = _parse(path, 1, lines.readline())
    if not isinstance(header, dict) or header.get("version") != VERSION:
        raise TapeError(f"{path}:1: not the first line of an event log of version {VERSION}")
    try:
        return RecordedRun(
            path=path,
            program=header["program"],
            product=header["product"],
            mode=header["mode"],
            cfg=_config(header["config"]),
            beginnings=Beginnings(
                first=decode(Beginning, header["beginning"]),
                others=decode(tuple[Beginning, ...], header.get("others", [])),
                account=decode(CoreMemo | None, header.get("account")),
            ),
        )
    except (KeyError, ValueError, ConfigError) as error:
        raise TapeError(f"{path}:1: {error}") from error


class Received(NamedTuple):
    """What the cores received, when, and the number of the instrument."""

    now_ns: int
    item: Event | Asked
    number: int


def read_inputs(path: Path) -> Iterator[Received]:
    """All events that the cores received. An unfinished last line ends the run.

    Raises TapeError for any other invalid line, and where events were lost.
    """
    with LineFile(path) as lines:
        lines.readline()
        number = 1
        while line := lines.readline():
            number += 1
            if not line.endswith(b"\n"):
                return
            entry = _parse(path, number, line)
            try:
                now_ns, kind, content = entry["now_ns"], entry["type"], entry["event"]
                if kind == LOST:
                    raise TapeError(f"{path}:{number}: {content['count']} events are missing here; replay cannot go on")
                item = decode(Asked, content) if kind == ASKED else decode_event(kind, content)
                yield Received(now_ns, item, decode(int, entry.get("number", 0)))
            except (KeyError, TypeError, ValueError) as error:
                raise TapeError(f"{path}:{number}: {error}") from error


def replay_steps(path: Path, strategy: MakeStrategy = configured) -> Iterator[Taken]:
    """The steps of new cores that are not empty, in order. Raises TapeError, OSError.

    ``strategy`` must be the one of the run.
    """
    run = open_run(path)
    portfolio = run.beginnings.portfolio(run.cfg, venue_rules(run.cfg), strategy)
    for now_ns, item, number in read_inputs(path):
        if isinstance(item, Asked):
            portfolio.first.budget.reserve_questions(now_ns, item.calls)
        elif 0 <= number < len(portfolio.cores):
            yield from portfolio.on_event(item, now_ns, number)
        else:
            raise TapeError(f"{path}: an event of instrument {number}, and there are {len(portfolio.cores)}")


def replay_events(path: Path, strategy: MakeStrategy = configured) -> Iterator[tuple[int, Row]]:
    """The rows of those steps, in order, each with the number of its instrument."""
    for number, step in replay_steps(path, strategy):
        for row in step.rows:
            yield number, row


def _parse(path: Path, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise TapeError(f"{path}:{number}: {error}") from error


def _config(text: str) -> AppConfig:
    """The configuration, through a temporary file, because the loader reads only files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "effective.yml"
        path.write_text(text, encoding="utf-8")
        return load_app_config(path)
