"""Reasons of decisions, in plain English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stall_then_strike.types.dto import Reason

SENTENCES: Final[Mapping[Reason, str]] = {
    Reason.STRIKE: "The best prices stood still for long enough, in a wide enough spread.",
    Reason.STRATEGY: "The strategy wished it.",
    Reason.HALTED: "Trading is halted.",
    Reason.STOPPING: "The program is stopping.",
    Reason.CLOSING: "The position is being closed.",
    Reason.VENUE_NOT_RUNNING: "The venue's board is not known to be running.",
    Reason.VENUE_UNHEALTHY: "The venue is overloaded, or takes no orders.",
    Reason.QUIET_TIME: "It is a quiet time of the session.",
    Reason.BOOK_UNKNOWN: "The book is unknown: no snapshot since the connection began.",
    Reason.BOOK_SUSPECT: "The book is suspect: it contradicts the venue's mid price or itself.",
    Reason.BOOK_STALE: "The book is stale: no message came for too long.",
    Reason.BUDGET: "The budget of the venue's rate limits, or a pause after a refusal, forbids a strike.",
    Reason.POSITION_LIMIT: "Another fill on either side could take the position over its limit.",
    Reason.QUOTING: "Quotes of ours are still live.",
    Reason.SPREAD: "The spread is too narrow.",
    Reason.STALL_IMMATURE: "The best prices have not stood still for long enough.",
    Reason.ACCOUNT_UNKNOWN: "The account has not been reconciled since the private channel connected.",
    Reason.JOURNAL_LOCKED: "Another program keeps the journal from being written.",
    Reason.PAUSED: "The operator paused trading.",
    Reason.MARGIN: "A pause: the venue refused an order because the collateral is insufficient.",
    Reason.TTL: "Its time to live had passed.",
    Reason.BEST_MOVED: "The best price moved away from where it stood at the strike.",
    Reason.REVERSE: "The mid moved too far against the position's average price.",
    Reason.FLATTEN: "The position is to be closed because the program stops or the operator wants it.",
    Reason.DUST: "The rest of the position is below the venue's smallest order, and stays open.",
    Reason.KILL_PNL: "The day's result reached its limit.",
    Reason.KILL_DRAWDOWN: "The fall from the day's peak reached its limit.",
    Reason.LOG_FAILURE: "A log or the journal could not be written.",
    Reason.OPERATOR: "The operator requested it.",
    Reason.REJECTS: "The venue refused too many orders within a minute.",
    Reason.INTERNAL_ERROR: "The strategy failed.",
    Reason.LIMIT_BREACH: "The venue reported that a rate limit was exceeded.",
    Reason.AUTH_REFUSED: "The venue refused the key, its permission or the signature.",
    Reason.POSITION_MISMATCH: "The venue shows another position, and nothing explains it.",
    Reason.CLOCK_SKEW: "This machine's clock and the venue's differ too much.",
    Reason.DAY_ROLL: "A new trading day began.",
    Reason.RESUMED: "The operator lifted the halt.",
    Reason.ORPHAN: "An order of an earlier run, or one without an answer, was still on the book.",
}
"""What each reason means."""
