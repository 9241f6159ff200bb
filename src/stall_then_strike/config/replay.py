"""Settings of paper fills, replays and the embedded exchange."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from stall_then_strike.config.fields import Number, Section, TimeOfDay


class LatencyKind(StrEnum):
    """Shape of a latency distribution."""

    CONSTANT = "constant"
    UNIFORM = "uniform"
    LOGNORMAL = "lognormal"
    SAMPLED = "sampled"
    """As recorded: every latency of the file is equally likely."""


class QueueModel(StrEnum):
    """How much of what leaves a level without a trade stood ahead of us."""

    SHARE = "share"
    """A fixed share of it."""
    PESSIMISTIC = "pessimistic"
    """None."""
    POWER = "power"
    """The share f / (f + b), where f and b are powers of what stands ahead of us and behind us."""


class PrintThrough(StrEnum):
    """Whom a print reaches that went past our price, which nobody displayed there can have survived."""

    QUEUE = "queue"
    """Those that stood ahead of us, as if they were still there; us with the rest."""
    ALL = "all"
    """Us: what stood ahead must have left."""


class LatencyConfig(Section):
    """Latency from sending a request to its effect at the venue.

    The defaults are of recorded times at bitFlyer (docs/paper-fills.md): a part of an HTTP call from Japan, median 81
    ms, and 90 to 170 ms from acceptance to match. Half of what is drawn is between 157 and 229 ms.
    """

    kind: LatencyKind = Field(
        default=LatencyKind.LOGNORMAL, strict=False, description="constant, uniform, lognormal or sampled"
    )
    median_ms: Number = Field(default=Decimal(190), ge=0, description="median, ms (docs/paper-fills.md)")
    spread_ms: Number = Field(
        default=Decimal(110),
        ge=0,
        description="uniform: half width; lognormal: 95th percentile less median, ms",
    )
    file: str = Field(default="", description="sampled: file with one latency in ms a line")
    spike_share: Number = Field(
        default=Decimal(0), ge=0, le=1, description="share of the time during which the venue answers late"
    )
    spike_sec: Number = Field(default=Decimal(2), gt=0, le=3_600, description="length of such a spike, seconds")
    spike_ms: Number = Field(
        default=Decimal(2_000), ge=0, le=600_000, description="time that a request takes longer during a spike, ms"
    )

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if self.kind is LatencyKind.SAMPLED and not self.file:
            raise ValueError("file: empty, and kind is sampled; accepted: a file with one latency in ms a line")
        if self.kind is LatencyKind.UNIFORM and self.spread_ms > self.median_ms:
            raise ValueError(
                f"spread_ms: {self.spread_ms} would make negative latencies; "
                f"accepted: {self.median_ms} (median_ms) or less"
            )
        return self


class PaperConfig(Section):
    """How paper orders are filled."""

    seed: int = Field(default=1, ge=0, description="seed of the latencies: the same seed and tape give the same result")
    order_latency: LatencyConfig = Field(default_factory=LatencyConfig)
    cancel_latency: LatencyConfig = Field(default_factory=LatencyConfig)
    queue_model: QueueModel = Field(
        default=QueueModel.SHARE,
        strict=False,
        description="which of the cancels at our price were ahead of us: share, pessimistic (none) or power",
    )
    queue_cancel_share: Number = Field(
        default=Decimal("0.5"), ge=0, le=1, description="share: part of untraded level decreases that was ahead of us"
    )
    queue_power: int = Field(
        default=2, ge=1, le=4, description="power: exponent of what is ahead against what is behind"
    )
    print_through: PrintThrough = Field(
        default=PrintThrough.QUEUE,
        strict=False,
        description="whom a print past our price reaches: queue (those ahead of us first) or all (us at once)",
    )
    outbid_per_s: Number = Field(
        default=Decimal("0.9"),
        ge=0,
        le=1_000,
        description="how often a second somebody outbids a quote that improves the best; 0: nobody does",
    )
    maker_fee: Number = Field(
        default=Decimal(0),
        ge=Decimal("-0.01"),
        le=Decimal("0.01"),
        description="share of notional, negative for a rebate",
    )
    taker_fee: Number = Field(
        default=Decimal(0), ge=Decimal("-0.01"), le=Decimal("0.01"), description="share of notional"
    )
    funding_rate: Number = Field(
        default=Decimal("0.0001"),
        ge=Decimal("-0.00375"),
        le=Decimal("0.00375"),
        description="per settlement, share of notional; longs pay when positive",
    )
    funding_times: tuple[TimeOfDay, ...] = Field(
        default=(time(6), time(14), time(22)), strict=False, description="settlements, in the session's zone"
    )


class Engine(StrEnum):
    """The engine that replays a tape."""

    AUTO = "auto"
    """Compiled if it can reproduce the configuration, otherwise interpreted."""
    INTERPRETED = "interpreted"
    COMPILED = "compiled"


class BacktestConfig(Section):
    """Replay of recorded tapes. Its latencies, queues and fees are those of ``paper``."""

    engine: Engine = Field(
        default=Engine.AUTO, strict=False, description="auto, interpreted, or compiled (needs the extra research)"
    )
    cache_dir: str = Field(
        default="data/cache", min_length=1, description="folder of prepared tapes; may be deleted at any time"
    )


class SimConfig(Section):
    """The embedded exchange."""

    seed: int = Field(default=7, ge=0, description="seed of the order flow")
    market: Literal["calm", "real", "toxic"] = Field(
        default="real", description="what it is like: real (as recorded ones), calm, or toxic (harder)"
    )
    speed: Number = Field(default=Decimal(1), gt=0, le=100, description="how fast its time runs")
    collateral_jpy: Number = Field(
        default=Decimal(2_000_000), gt=0, description="collateral of the account that run_live trades on, JPY"
    )
    faults: str = Field(default="", description="file of the fault plan that run_live follows, empty for none")
