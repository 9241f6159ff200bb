"""Faults of Lighter's exchange by name, without their windows: every kind, and what public reports describe. Pure.

`catalogue.py` makes plans of them. Channels are named as in requests (``order_book/0``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stall_then_strike.sim.faults.catalogue import OF_SOCKETS
from stall_then_strike.sim.faults.kinds import FaultKind

_BOOK: Final = "order_book/*"
_TRADES: Final = "trade/*"
_PRIVATE: Final = "account_*"
_SEND: Final = "/api/v1/sendTx*"
_SOCKET_SEND: Final = "jsonapi/sendtx"
_K: Final = FaultKind

LIGHTER_RECIPES: Final[Mapping[str, Mapping[str, Any]]] = {
    # Public channels.
    "lose_book_updates": {"kind": _K.LOSE_FRAME, "channel": _BOOK, "event": "update", "chance": 0.3},
    "lose_book_snapshot": {"kind": _K.LOSE_FRAME, "channel": _BOOK, "event": "subscribed"},
    "mute_books": {"kind": _K.LOSE_FRAME, "channel": _BOOK, "event": "update"},
    "late_feed": {"kind": _K.DELAY_FRAME, "seconds": 1.5},
    "twice_book_updates": {"kind": _K.DUPLICATE_FRAME, "channel": _BOOK, "chance": 0.5},
    "twice_trades": {"kind": _K.DUPLICATE_FRAME, "channel": _TRADES, "seconds": 0.5},
    "disordered_trades": {"kind": _K.REORDER_FRAME, "channel": _TRADES, "chance": 0.5, "seconds": 3.0},
    "disordered_book_updates": {"kind": _K.REORDER_FRAME, "channel": _BOOK, "chance": 0.5},
    "frozen_feed": {"kind": _K.FREEZE_FEED},
    "frozen_feed_with_burst": {"kind": _K.FREEZE_FEED, "backlog": True},
    "offset_jump": {"kind": _K.OFFSET_JUMP, "by": 1_000, "chance": 0.2},
    "nonce_gap": {"kind": _K.NONCE_GAP, "by": 7, "chance": 0.2},
    "crossed_snapshot": {"kind": _K.CROSSED_SNAPSHOT},
    # Private channels.
    "lose_order_events": {"kind": _K.LOSE_FRAME, "channel": "account_*orders/*", "event": "update", "chance": 0.5},
    "mute_private": {"kind": _K.LOSE_FRAME, "channel": _PRIVATE, "event": "update"},
    "late_order_events": {"kind": _K.DELAY_FRAME, "channel": "account_*orders/*", "seconds": 2.0},
    "twice_own_trades": {"kind": _K.DUPLICATE_FRAME, "channel": "account_all*", "seconds": 0.3},
    "disordered_private": {"kind": _K.REORDER_FRAME, "channel": _PRIVATE, "chance": 0.5, "seconds": 2.0},
    "unstreamed_balance": {"kind": _K.LOSE_FRAME, "channel": "user_stats/*", "event": "update"},
    "unstreamed_assets": {"kind": _K.LOSE_FRAME, "channel": "account_all_assets/*", "event": "update"},
    "unseen_order": {"kind": _K.UNSEEN_ORDER},
    # Sockets and the network.
    **OF_SOCKETS,
    "close_idle": {"kind": _K.CLOSE_IDLE, "seconds": 0.5},
    "restart": {"kind": _K.SHUTDOWN, "seconds": 0.5},
    "expired_token": {"kind": _K.REFUSE_AUTH},
    # Requests on sockets.
    "lose_answer_on_socket": {"kind": _K.LOSE_REPLY, "method": _SOCKET_SEND},
    "late_answer_on_socket": {"kind": _K.DELAY_REPLY, "method": _SOCKET_SEND, "seconds": 2.0},
    "cut_in_send": {"kind": _K.CUT_REPLY, "method": _SOCKET_SEND},
    "lose_batch_answer_on_socket": {"kind": _K.LOSE_REPLY, "method": "jsonapi/sendtxbatch"},
    "silent_subscribe": {"kind": _K.LOSE_REPLY, "method": "subscribe"},
    # Transactions.
    "invalid_nonce": {"kind": _K.REFUSE_TX, "code": 21_104},
    "invalid_signature": {"kind": _K.REFUSE_TX, "code": 21_120},
    "old_sdk": {"kind": _K.REFUSE_TX, "code": 21_136},
    "too_many_pending": {"kind": _K.REFUSE_TX, "code": 21_506},
    "stale_nonce": {"kind": _K.STALE_NONCE},
    "silent_cancel": {"kind": _K.SILENT_CANCEL},
    # Calls.
    "lose_send": {"kind": _K.LOSE_REQUEST, "path": _SEND},
    "reset_send": {"kind": _K.RESET_REQUEST, "path": _SEND},
    "lose_answer_to_send": {"kind": _K.LOSE_ANSWER, "path": _SEND},
    "reset_answer_to_send": {"kind": _K.RESET_ANSWER, "path": _SEND},
    "error_after_send": {"kind": _K.ERROR_AFTER_EFFECT, "path": _SEND},
    "late_answers": {"kind": _K.DELAY_ANSWER, "seconds": 2.0},
    "over_limit": {"kind": _K.OVER_LIMIT, "seconds": 1.0},
    "error_500": {"kind": _K.SERVER_ERROR, "http_status": 500},
    "error_502": {"kind": _K.SERVER_ERROR, "http_status": 502},
    "error_503": {"kind": _K.SERVER_ERROR, "http_status": 503},
    "firewall": {"kind": _K.SERVER_ERROR, "http_status": 403},
    "firewall_405": {"kind": _K.SERVER_ERROR, "path": _SEND, "http_status": 405},
    "html_page": {"kind": _K.HTML_PAGE},
    "truncated_json": {"kind": _K.TRUNCATED_JSON},
    "empty_body": {"kind": _K.EMPTY_BODY},
    "json_array": {"kind": _K.JSON_ARRAY},
    "null_orders": {"kind": _K.NULL_LIST},
    "null_lists": {"kind": _K.NULL_LIST, "path": "/api/v1/account*Orders"},
}
"""Faults by name. A market index that an old signer cuts to eight bits is not among them: it would be a client's."""
