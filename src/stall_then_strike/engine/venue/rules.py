"""The rules of a venue, as data: what the engine must know of one venue and not of another.

The code of each venue makes one value of them, and the engine reads it. So nothing here, and nothing that reads it,
names a venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from stall_then_strike.types.instrument import Lots, Money


@unique
class Ended(Enum):
    """Which ended orders a report lists."""

    NONE = "none"
    EXECUTED = "executed"
    """Those with an execution. One that ended without is missing, like one that was never taken."""
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most ``most`` calls in any window of ``window_ns``, and what each kind of call counts; 0: it does not.

    Weights with a common factor are divided by it. A batch is one call.
    """

    name: str
    most: int
    window_ns: int
    reserve: int = 0
    """Calls that only exits may use. Urgent queries may use half of them."""
    elsewhere: int = 0
    """Calls that the engine does not see. Exits and queries leave room for them; quotes rely on the venue's count."""
    send: int = 0
    cancel: int = 0
    query: int = 0
    up_to: Lots | None = None
    """Only orders of this size or less count; None: all do."""

    def sends(self, calls: int, size: Lots) -> int:
        """What this many sends of orders of this size count."""
        return calls * self.send if self.up_to is None or size <= self.up_to else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRules:
    """What differs between venues. Times are nanoseconds."""

    # --- orders

    own_names: bool
    """The venue takes our name of an order and reports it: an order is known by it before it is answered."""
    batch: int
    """The most orders and cancels in one call."""
    expiry_ns: int
    """Expiry of each order, counted from its acceptance: the shortest that the venue has. It ends an order that is
    lost sight of."""
    post_only: bool
    """Quotes are sent so that they never take."""
    refuses_self_trade: bool
    """A close that would meet a quote of ours is refused, so it has to wait until the quotes are gone."""
    closes_dust: bool
    """A close may be smaller than the smallest order."""

    # --- what a report of the account shows

    report_calls: int
    """The most calls that one report may cost: they are reserved, and the unused ones are given back."""
    ended: Ended
    lag_ns: int
    """Normal lag of the lists, and the least time between two lists that count separately."""
    history_lag_ns: int
    """How long the lists may lack what two channels told."""
    stamp_early_ns: int
    stamp_late_ns: int
    """How far the venue's stamp of an order may be before or after our sending it: clocks differ, queues are long."""
    ghost_ns: int
    """Age at which an order that is missing from two lists has probably ended: longer than a normal queue takes."""
    vanish_ns: int
    """How long after its expiry an order without a trace still counts as live."""
    print_grace_ns: int
    """How much later than the public channel the private one may report a fill."""

    # --- cash

    small_payment: Money
    """A smaller change of cash without a fill is rounding, not a deposit."""
    carry_share: int | None
    """A change of cash of up to 1/``carry_share`` of the position's value is funding or another carry. None: the venue
    reports each such payment, so none is inferred."""

    # --- calls

    limits: tuple[Limit, ...]
