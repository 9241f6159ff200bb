"""Frames of a faithful market have no deviation, recorded ones neither, and each deliberate deviation is named."""

from __future__ import annotations

import json

import pytest

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.masking import Masking
from stall_then_strike.app.contact.assumed.stream_check import StreamCheck
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.tapes.tape_reader import read_tape
from tests.app.contact.deviant import SNAPSHOT, STREAM, sent
from tests.research.replay.replay_rig import frames
from tests.shared_data import TAPE_NAME, real_tape_path

MARKET = frames(90)
"""A minute and a half of a generated market."""
RECORDED = (TAPE_NAME, "FX_BTC_JPY-20210405T172849Z-119s.jsonl", "FX_BTC_JPY-20210417T163936Z-30s.jsonl")


def checked(name: str | None = None) -> Deviations:
    """What is found in the market, sent with one deviation."""
    found = Deviations(Masking(), VirtualClock(0))
    check = StreamCheck(AppConfig(), found, is_private=False)
    check.on_connected(MARKET[0].time_ns)
    for frame in MARKET:
        for text in [frame.text.encode()] if name is None else sent(json.loads(frame.text), STREAM[name]):
            check.on_frame(text, frame.time_ns)
    check.finish(MARKET[-1].time_ns, 0)
    return found


def test_faithful_market_has_no_deviation() -> None:
    assert checked().names == []


ALSO = {
    "a field is renamed": {"ticker.ltp is missing"},
    "a stamp has an offset": {"the parser refuses: bad_executions"},
    "sides in small letters": {"executions.side has another form"},
    "snapshots every ten seconds": {f"{SNAPSHOT} is silent"},
}
"""What one deviation is also found as."""


@pytest.mark.parametrize("name", STREAM)
def test_each_deviation_is_named_and_nothing_else(name: str) -> None:
    found = checked(name).names
    assert STREAM[name].found in found
    assert set(found) - {STREAM[name].found} <= ALSO.get(name, set())


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_frames_have_no_deviation(name: str) -> None:
    path = real_tape_path().with_name(name)
    if not path.is_file():
        pytest.skip(f"not here: {path}")
    found = Deviations(Masking(), VirtualClock(0))
    check = StreamCheck(AppConfig(), found, is_private=False)
    lines = list(read_tape(path))
    check.on_connected(lines[0].recv_ns)
    for line in lines:
        check.on_frame(line.text.encode(), line.recv_ns)
    check.finish(lines[-1].recv_ns, 0)
    assert check.frames > 200
    assert found.names == []
