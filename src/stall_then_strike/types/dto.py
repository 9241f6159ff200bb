"""The values that layers hand to each other, under one name: snapshots, events, actions, decisions, rows, memory.

Events are facts of the past that :class:`~stall_then_strike.engine.core.Core` is told. Actions are what it wants done,
and rows are what it wants written. This module holds the core's answer to an event. It also exports everything of
``names``, ``events``, ``actions``, ``rows`` and ``memo``. The venue's own stamps never drive a decision.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stall_then_strike.types.actions import (
    Action,
    CancelAllStall,
    CancelRequest,
    CloseMarket,
    OrderRequest,
    PlaceLimit,
    Reconcile,
    RenewFeed,
    TimeInForce,
)
from stall_then_strike.types.events import (
    AccountReport,
    BoardSnapshot,
    CallsMade,
    Command,
    Control,
    Event,
    FillEvent,
    FundingEvent,
    LimitReading,
    NewSettings,
    OrderEvent,
    OrderEventKind,
    OrderTerms,
    PrintedFill,
    PrivateChannel,
    PublicTrade,
    PublicTrades,
    RefusalKind,
    ReportedOrder,
    ReportedState,
    ReportFailed,
    SettingChange,
    Tick,
    VenueRefusal,
    VenueStatus,
)
from stall_then_strike.types.memo import (
    BookedFill,
    Changes,
    CoreMemo,
    Fact,
    InventoryMemo,
    OrderMemo,
)
from stall_then_strike.types.names import (
    NO_ORDER,
    NS_PER_MS,
    NS_PER_S,
    BoardState,
    BookReader,
    BookStatus,
    ClientOrderId,
    ExecId,
    Health,
    OrderId,
    Reason,
    Side,
)
from stall_then_strike.types.rows import (
    DecisionLogRow,
    DecisionMeta,
    InventoryState,
    Notice,
    OrderLogRow,
    Row,
    TradeLogRow,
)

__all__ = [
    "NOTHING",
    "NO_ORDER",
    "NS_PER_MS",
    "NS_PER_S",
    "AccountReport",
    "Action",
    "BoardSnapshot",
    "BoardState",
    "BookReader",
    "BookStatus",
    "BookedFill",
    "CallsMade",
    "CancelAllStall",
    "CancelRequest",
    "Changes",
    "ClientOrderId",
    "CloseMarket",
    "Command",
    "Control",
    "CoreMemo",
    "DecisionLogRow",
    "DecisionMeta",
    "Event",
    "ExecId",
    "Fact",
    "FillEvent",
    "FundingEvent",
    "Health",
    "InventoryMemo",
    "InventoryState",
    "LimitReading",
    "NewSettings",
    "Notice",
    "OrderEvent",
    "OrderEventKind",
    "OrderId",
    "OrderLogRow",
    "OrderMemo",
    "OrderRequest",
    "OrderTerms",
    "PlaceLimit",
    "PrintedFill",
    "PrivateChannel",
    "PublicTrade",
    "PublicTrades",
    "Reason",
    "Reconcile",
    "RefusalKind",
    "RenewFeed",
    "ReportFailed",
    "ReportedOrder",
    "ReportedState",
    "Row",
    "SettingChange",
    "Side",
    "Step",
    "Tick",
    "TimeInForce",
    "TradeLogRow",
    "VenueRefusal",
    "VenueStatus",
]


class Step(NamedTuple):
    """The core's answer to one event."""

    actions: tuple[Action, ...] = ()
    rows: tuple[Row, ...] = ()
    changes: Changes | None = None


NOTHING: Final = Step()
"""The step that does nothing, as most steps do."""
