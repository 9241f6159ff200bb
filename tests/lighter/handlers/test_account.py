"""Private messages are recognised by account, and read into values."""

from __future__ import annotations

import pytest

from stall_then_strike.lighter.handlers.account import AccountHandler
from stall_then_strike.lighter.handlers.base import Unreadable
from stall_then_strike.lighter.messages import AccountFrame, OrdersFrame, StatsFrame, TransactionsFrame
from tests.lighter.captured import BTC_FILE, messages, modelled

CAPTURED = [("ws_account_20251012.jsonl", 225671), ("ws_orders_open_cancel_20251210.jsonl", 659514)]


@pytest.mark.parametrize(("name", "account"), CAPTURED)
def test_every_captured_private_message_is_read(name: str, account: int) -> None:
    handler, stranger, kinds = AccountHandler(account), AccountHandler(1), set()
    for message in messages(name):
        if message.get("type") == "connected":
            assert not handler.can_handle(message)
            continue
        assert handler.can_handle(message)
        assert not stranger.can_handle(message) or "account" not in message
        kinds.add(type(handler.handle(message, 1)))
    assert kinds <= {AccountFrame, OrdersFrame, StatsFrame, TransactionsFrame}
    assert OrdersFrame in kinds


def test_forms_of_2026_are_recognised() -> None:
    handler = AccountHandler(1234)
    for name in ("ws_account_orders_update.json", "ws_user_stats_update.json", "ws_account_all_positions_update.json"):
        message = modelled(name)
        assert handler.can_handle(message)
        handler.handle(message, 1)


def test_public_and_unreadable_messages() -> None:
    handler = AccountHandler(1234)
    assert not any(handler.can_handle(message) for message in messages(BTC_FILE))
    assert handler.can_handle({"type": "update/account_market", "channel": "account_market/0/1234"})
    with pytest.raises(Unreadable, match="stats"):
        handler.handle({"type": "update/user_stats", "channel": "user_stats:1234"}, 1)
