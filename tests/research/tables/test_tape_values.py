"""Whatever stands in a tape's messages, the tools end in words or leave it out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from stall_then_strike.app import tape
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED
from stall_then_strike.config.models import AppConfig
from stall_then_strike.research.calibration.quote_tracks import hear
from stall_then_strike.research.tables.prepare import BeyondColumns, prepared
from stall_then_strike.tapes.tape_reader import TapeSource
from stall_then_strike.types.dto import OrderId
from tests.research.replay.replay_rig import frames

BOARD, EXECUTIONS = "lightning_board_FX", "lightning_executions"
ODD = (
    *((BOARD, '"mid_price":', raw) for raw in ("1e308", "9223372036854775808", "true")),
    *((BOARD, '"size":', raw) for raw in ("-1e308", "9223372036854775808", f'"{"9" * 5_000}"')),
    *((EXECUTIONS, '"size":', raw) for raw in ("1e308", '"9"', "null")),
    *((EXECUTIONS, '"id":', raw) for raw in ("1e308", "9223372036854775808", "[]")),
    *((EXECUTIONS, '"side":', raw) for raw in ("true", "[[]]", '"x"')),
    *((EXECUTIONS, '"exec_date":', raw) for raw in ('"9999-99-99T99:99:99"', '"0001-01-01T00:00:00"', "7")),
    *((EXECUTIONS, '"buy_child_order_acceptance_id":', raw) for raw in ("[]", "{}", "null")),
)


@pytest.mark.parametrize(("channel", "key", "raw"), ODD)
def test_odd_values(channel: str, key: str, raw: str, tmp_path: Path) -> None:
    lines, is_changed = [], False
    for frame in frames(20):
        text = frame.text
        if not is_changed and channel in text and key in text:
            head, _, rest = text.partition(key)
            end = min(at for at in (rest.find(","), rest.find("}")) if at >= 0)
            text, is_changed = f"{head}{key}{raw}{rest[end:]}", True
        lines.append(f'{{"recv_ns":{frame.time_ns},"msg":{text}}}\n')
    assert is_changed
    path = tmp_path / "t.jsonl"
    path.write_text("".join(lines))
    for args in (["check"], ["info"], ["convert", "--to", "parquet"], ["convert", "--to", "npz"]):
        assert tape.main([*args, str(path)]) in (EXIT_DONE, EXIT_FAILED)
    with suppress(BeyondColumns):
        assert prepared([path], AppConfig(), tmp_path / "cache").manifest.messages == len(lines)
    TapeSource(path).advance(1 << 62)
    hear([path], "FX_BTC_JPY", frozenset({OrderId("JRF")}))
