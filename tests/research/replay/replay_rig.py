"""Frames for recordings, and what is in the files that come of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from stall_then_strike.sim.exchange.source import Frame, iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.types.dto import NS_PER_S

START_NS = 1_767_571_200 * NS_PER_S
"""2026-01-05T00:00:00Z."""
HOUR_NS = 3_600 * NS_PER_S


def frames(seconds: float, start_ns: int = START_NS, seed: int = 7) -> list[Frame]:
    """What a made-up market sends."""
    market = Market(seed=seed, start_ns=start_ns)
    return list(iter_frames(market, start_ns + int(seconds * NS_PER_S)))


def texts(path: Path) -> list[str]:
    return [line.text for line in read_tape(path)]


def manifest(tape: Path) -> dict[str, Any]:
    path = tape.with_name(tape.name.removesuffix(".jsonl.zst") + ".manifest.json")
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
