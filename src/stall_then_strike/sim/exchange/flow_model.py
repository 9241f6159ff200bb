"""The parameters of the order flow, each with its source, and the regimes to choose from.

Sources: *2025* is FX_BTC_JPY of 2025-07-16, best prices and prints of 44 minutes; *2021* three whole tapes of 30 to
119 s; *probe* the public feed in 2026. `studies/facts.py` measures what comes of them beside what was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Makers in one range of distances from the fair price; about ``per_s * patience_s`` orders rest there per side."""

    near_ticks: int
    far_ticks: int
    per_s: float
    """Arrivals per second and side."""
    patience_s: float
    """Mean time until the order is cancelled."""
    size_factor: float = 1.0
    """Size of its orders relative to those near the touch."""


BANDS: Final[Sequence[Band]] = (
    Band(near_ticks=200, far_ticks=1_000, per_s=1.1, patience_s=0.6),
    Band(near_ticks=1_150, far_ticks=3_200, per_s=4.0, patience_s=3.5),
    Band(near_ticks=3_000, far_ticks=8_000, per_s=3.2, patience_s=9.0),
    Band(near_ticks=8_000, far_ticks=30_000, per_s=2.0, patience_s=30.0),
    Band(near_ticks=30_000, far_ticks=200_000, per_s=0.5, patience_s=300.0, size_factor=3.0),
    Band(near_ticks=200_000, far_ticks=2_700_000, per_s=0.08, patience_s=1_800.0, size_factor=6.0),
)
"""Levels and their sizes of the 2021 tapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowModel:
    """Parameters of the model. Distances are in ticks, rates per second."""

    fair_ticks: int = 13_600_000
    """Probe: the price at its time."""
    volatility: float = 230.0
    """Standard deviation of the fair price over one second, at the typical level of activity, without takers; with
    them the mid moves as in 2025."""
    activity_spread: float = 0.35
    """Standard deviation of the logarithm of activity. A choice."""
    activity_memory_s: float = 120.0
    """A choice."""
    trend: float = 12.0
    """Standard deviation of the trend, ticks per second. A choice."""
    trend_memory_s: float = 60.0
    """A choice."""
    jumps_per_s: float = 1 / 600
    """A choice."""
    jump: float = 3_000.0
    """Standard deviation of a jump. A choice."""
    bands: Sequence[Band] = BANDS
    join_share: float = 0.08
    """Share of the arrivals in the two nearest bands that join the best price. 2021."""
    undercut_share: float = 0.09
    """Share of the same arrivals that improve the best price by one tick. 2021."""
    guard: float = 230.0
    """Makers cancel orders that are nearer to the fair price than this. 2025: the mid's move within a second."""
    pull_chance: float = 0.65
    """Chance per step of 100 ms that such an order is cancelled. 2025, as before."""
    snipe_edge: float = 60.0
    """How far the fair price must have passed an order before snipers take it. A choice."""
    snipe_chance: float = 0.25
    """Chance per step of 100 ms that it is taken. A choice."""
    takers_per_s: float = 0.48
    """Candidates; most do not trade, because the price is too far from the fair price. 2025: 0.36 orders a second."""
    taker_patience: float = 350.0
    """Distance of the best price from the fair price at which the variable part of the interest has fallen to 1/e.
    A choice."""
    taker_floor: float = 0.22
    """Share of candidates that trade at any price. A choice."""
    busy: float = 0.8
    """How much more takers come when the price moves more: the exponent of activity. 2025: Fano factor at 60 s."""
    run_share: float = 0.64
    """Chance that a taker trades on the same side as the one before. 2025: autocorrelation of the side."""
    impact: float = 1.2
    """Mean move of the fair price by a taker's order, in half spreads. 2025: the mid a second later."""
    widest_half_ticks: float = 1_500.0
    """Half spreads above this count as this. 2025: the 95 % quantile of the spread."""
    requotes: int = 4
    """Makers that follow a taker's order with new orders on its side. 2025: the mid a second after a print."""
    requote_s: float = 0.2
    """Mean time until each does. 2025: the same."""
    echo_share: float = 0.17
    """Chance that an order brings another at once. 2025: share of gaps below 0.1 s."""
    echo_s: float = 0.1
    """Mean time until then. 2025: the same."""
    parts_share: float = 0.35
    """Chance that an order is followed by the next part of a larger one. 2025: Fano factors at 10 and 60 s."""
    parts_s: float = 6.0
    """Mean time between parts. 2025: the same."""
    follow_impact: float = 0.1
    """Impact of such an order, as a share of the first one's. 2025: the mid 10 s after a print against 1 s."""
    follow_same_side: float = 0.85
    """Chance that an order that was brought has the side of the first. 2025: autocorrelation of the side."""
    regime_spread: float = 0.25
    """Standard deviation of the logarithm of the makers' distances. 2025: quantiles of the spread."""
    regime_memory_s: float = 120.0
    """2025: the spread keeps its level for minutes."""
    widening: float = 0.25
    """Growth of the makers' distances by one taker's order. 2025: the spread 0.5 s after a print."""
    widening_memory_s: float = 1.0
    """2025: the same."""
    alarm: float = 1.7
    """How much more than their distances the makers' guard grows with it. 2025: the same."""
    quiets_per_s: float = 0.38
    """How often a quiet stretch begins. 2025: states of the best of 500 ms and of 1 s and more."""
    quiet_s: float = 0.9
    """Its mean length unless somebody takes. 2025: the same."""
    basis: float = 0.001
    """A market that follows another: its fair price above the other's, as a share. 2025: BTC_JPY over FX_BTC_JPY."""
    follow_s: float = 3.0
    """Time in which it makes up for most of a distance. 2025: BTC_JPY moves up to 3 s after FX_BTC_JPY."""
    own_share: float = 0.6
    """Volatility of its own, as a share of ``volatility``. 2025: correlation of the two markets' moves."""


CALM: Final = replace(FlowModel(), volatility=150.0, impact=0.5, parts_share=0.2, jumps_per_s=1 / 1_800)
"""A kinder market than the recorded ones: takers know little."""
TOXIC: Final = replace(FlowModel(), volatility=300.0, impact=2.0, follow_impact=0.25, parts_s=4.0, jumps_per_s=1 / 120)
"""A harder market than the recorded ones: takers know more, large orders are worked faster, and jumps are frequent."""

REGIMES: Final[Mapping[str, FlowModel]] = {"calm": CALM, "real": FlowModel(), "toxic": TOXIC}
"""Models by the name that settings use; ``real`` is calibrated on the recorded markets."""
