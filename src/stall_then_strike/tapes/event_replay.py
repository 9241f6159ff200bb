"""Replays a recorded run: the same events, given to a new core, produce the same steps, row for row."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stall_then_strike.config.loader import load_app_config
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.strategies import configured
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.engine.venue.shared import Shared
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.tapes.event_codec import decode, decode_event
from stall_then_strike.tapes.event_log import ASKED, LOST, VERSION, Asked, Beginning
from stall_then_strike.tapes.tape_reader import LineFile, TapeError
from stall_then_strike.types.dto import Event, Row, Step
from stall_then_strike.types.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """The first line of an event log: the run before its first event."""

    path: Path
    program: str
    product: str
    mode: str
    cfg: AppConfig
    beginning: Beginning


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
            beginning=decode(Beginning, header["beginning"]),
        )
    except (KeyError, ValueError, ConfigError) as error:
        raise TapeError(f"{path}:1: {error}") from error


def read_inputs(path: Path) -> Iterator[tuple[int, Event | Asked]]:
    """All events that the core received, with their times. An unfinished last line ends the run.

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
                yield now_ns, decode(Asked, content) if kind == ASKED else decode_event(kind, content)
            except (KeyError, TypeError, ValueError) as error:
                raise TapeError(f"{path}:{number}: {error}") from error


def replay_steps(path: Path, strategy: MakeStrategy = configured) -> Iterator[tuple[int, Step]]:
    """The steps of a new core, one per event, with their times. Raises TapeError, OSError.

    ``strategy`` must be the one of the run.
    """
    run = open_run(path)
    shared = Shared(run.cfg, bitflyer_rules(run.cfg), live=run.beginning.is_live)
    core = Core(run.cfg, shared, strategy=strategy)
    if run.beginning.is_live:
        run.beginning.restore(core)
    for now_ns, item in read_inputs(path):
        if isinstance(item, Asked):
            core.budget.reserve_questions(now_ns, item.calls)
        else:
            yield now_ns, core.on_event(item, now_ns)


def replay_events(path: Path, strategy: MakeStrategy = configured) -> Iterator[Row]:
    """The rows of those steps, in order."""
    for _, step in replay_steps(path, strategy):
        yield from step.rows


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
