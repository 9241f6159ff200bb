"""Latencies of a live run, as samples for the latency model ``sampled``: one number of milliseconds a line.

Paper trading needs the time from sending a request to its effect, in the time of the public channels. The effect is
reported on the private channel; its usual lag behind the executions channel is subtracted if it could be measured
(``Hearing.private_lag_ns``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stall_then_strike.research.calibration.live_orders import LiveOrder
from stall_then_strike.research.figures.estimates import quantile
from stall_then_strike.types.dto import NO_ORDER, NS_PER_MS

if TYPE_CHECKING:
    from stall_then_strike.research.calibration.quote_tracks import (
        Hearing,  # needs the extra research; latencies alone do not
    )

ORDER: Final = "order"
CANCEL: Final = "cancel"
KINDS: Final[Mapping[str, str]] = {
    ORDER: "from sending an order to its being on the book (paper.order_latency)",
    CANCEL: "from sending a cancel to its effect (paper.cancel_latency)",
    "ack": "from sending an order to the answer that names it",
    "feed": "executions channel, receipt less the venue's stamp; the clocks' difference is in it",
    "private": "private channel, receipt of a fill less the receipt of its public print",
}
"""The kinds of samples; paper trading draws from the first two."""
_LONGEST_MS: Final = 600_000.0


def samples(orders: Iterable[LiveOrder], hearing: Hearing | None, lag_ns: int) -> dict[str, list[float]]:
    """Milliseconds by kind, in order of time; kinds without data are empty."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for order in orders:
        if order.registered_ns is not None and order.is_registered_told:
            told_ns = order.registered_ns - lag_ns
            print_ns = None if hearing is None else hearing.first_own_ns.get(order.order_id or NO_ORDER)
            found[ORDER].append(_effect((told_ns if print_ns is None else min(told_ns, print_ns)) - order.sent_ns))
        if order.cancelled_ns is not None and order.cancel_sent_ns is not None:
            found[CANCEL].append(_effect(order.cancelled_ns - lag_ns - order.cancel_sent_ns))
        if order.accepted_ns is not None:
            found["ack"].append((order.accepted_ns - order.sent_ns) / NS_PER_MS)
        if hearing is not None:
            told = (fill.ts_ns - hearing.own_ns[fill.exec_id] for fill in order.fills if fill.exec_id in hearing.own_ns)
            found["private"].extend(ns / NS_PER_MS for ns in told)
    if hearing is not None:
        found["feed"] = [ns / NS_PER_MS for ns in hearing.delays_ns]
    return found


def _effect(ns: int) -> float:
    """Milliseconds, limited to what the model accepts: 0 to ten minutes."""
    return min(max(0.0, ns / NS_PER_MS), _LONGEST_MS)


def sample_path(folder: Path, kind: str) -> Path:
    """File of a sample."""
    return folder / f"latency-{kind}.txt"


def write_samples(
    folder: Path, found: Mapping[str, Sequence[float]], sources: str, lag_ms: float | None
) -> dict[str, Path]:
    """Write each non-empty sample; return the files by kind. Raises OSError."""
    taken_off = (
        "its lag could not be measured: nothing was taken off" if lag_ms is None else f"{lag_ms:.3f} ms taken off"
    )
    written = {}
    for kind, sample in found.items():
        if sample:
            head = [f"# {kind}: {KINDS[kind]}; ms", f"# {len(sample)} of {sources}"]
            if kind in (ORDER, CANCEL):
                head.append(f"# told by the private channel; {taken_off}")
            path = sample_path(folder, kind)
            path.write_text("\n".join([*head, *(f"{value:.6f}" for value in sample), ""]), encoding="utf-8")
            written[kind] = path
    return written


def in_words(sample: Sequence[float]) -> str:
    """Quantiles of one sample, as text."""
    ranked = sorted(sample)
    return ", ".join(
        f"{name} {value:.1f}"
        for name, value in (
            ("min", ranked[0]),
            ("median", quantile(ranked, 0.5)),
            ("p95", quantile(ranked, 0.95)),
            ("max", ranked[-1]),
        )
    )
