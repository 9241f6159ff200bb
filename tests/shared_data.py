"""Recordings that are not part of the project: in the folder STS_SHARED, or in ``shared`` beside the repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

TAPE_NAME = "FX_BTC_JPY-20211212T230530Z-30s.jsonl"


class Recorded(NamedTuple):
    recv_ns: int
    msg: dict[str, Any]

    @property
    def channel(self) -> str:
        return str(self.msg["params"]["channel"])

    @property
    def content(self) -> Any:
        return self.msg["params"]["message"]


def shared_folder() -> Path:
    """Where shared files would be; they need not exist."""
    return Path(os.environ.get("STS_SHARED") or Path(__file__).resolve().parents[2] / "shared")


def real_tape_path() -> Path:
    """The recorded tape; skips the test where it is absent."""
    path = shared_folder() / "data" / "bitflyer" / TAPE_NAME
    if not path.is_file():
        pytest.skip(f"the recorded tape is not here: {path} (set STS_SHARED to the folder that holds data/bitflyer)")
    return path


def lighter_file(name: str) -> Path:
    """A file of Lighter's captured messages and signing vectors; skips the test where it is absent."""
    path = shared_folder() / "data" / "lighter" / name
    if not path.is_file():
        pytest.skip(f"not here: {path} (set STS_SHARED to the folder that holds data/lighter)")
    return path


def real_tape() -> list[Recorded]:
    """All messages of the recorded tape."""
    return [Recorded(**orjson.loads(line)) for line in real_tape_path().read_bytes().splitlines()]
