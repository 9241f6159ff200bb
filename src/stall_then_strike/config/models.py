"""All settings as one value, and every section under one name. Pure: reads no file and no environment.

The keys of the sections ``exchange`` to ``risk`` are those of the specification; the rest serves the architecture.
Unknown keys and wrong types are refused, and so are values that are legal one by one and impossible together. Decimals
are read as decimals: no setting passes through a binary float. Each setting is defined with its unit, default and
bounds.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stall_then_strike.config.fields import Section, raise_all
from stall_then_strike.config.replay import (
    BacktestConfig,
    Engine,
    LatencyConfig,
    LatencyKind,
    PaperConfig,
    QueueModel,
    SimConfig,
)
from stall_then_strike.config.running import JournalConfig, LogConfig, RecordConfig, WatchConfig
from stall_then_strike.config.trading import (
    AccountConfig,
    AfterHalt,
    CloseType,
    ForeignOrders,
    QuietWindow,
    QuoteMode,
    RiskConfig,
    SessionConfig,
    StallStrategyConfig,
)
from stall_then_strike.config.venue import PUBLIC_CHANNEL_KINDS, ExchangeConfig, LimitsConfig, PybottersConfig, WsConfig

__all__ = [
    "PUBLIC_CHANNEL_KINDS",
    "AccountConfig",
    "AfterHalt",
    "AppConfig",
    "BacktestConfig",
    "CloseType",
    "Engine",
    "ExchangeConfig",
    "ForeignOrders",
    "JournalConfig",
    "LatencyConfig",
    "LatencyKind",
    "LimitsConfig",
    "LogConfig",
    "PaperConfig",
    "PybottersConfig",
    "QueueModel",
    "QuietWindow",
    "QuoteMode",
    "RecordConfig",
    "RiskConfig",
    "Section",
    "SessionConfig",
    "SimConfig",
    "StallStrategyConfig",
    "WatchConfig",
    "WsConfig",
]


class AppConfig(Section):
    """The whole configuration."""

    env: Literal["paper", "live", "sim"] = Field(
        default="paper", description="paper, live, or sim (paper or live on the embedded exchange)"
    )
    exchange: ExchangeConfig = Field(default_factory=ExchangeConfig)
    pybotters: PybottersConfig = Field(default_factory=PybottersConfig)
    ws: WsConfig = Field(default_factory=WsConfig)
    strategy: StallStrategyConfig = Field(default_factory=StallStrategyConfig)
    risk: RiskConfig = Field(default_factory=RiskConfig)
    account: AccountConfig = Field(default_factory=AccountConfig)
    session: SessionConfig = Field(default_factory=SessionConfig)
    journal: JournalConfig = Field(default_factory=JournalConfig)
    record: RecordConfig = Field(default_factory=RecordConfig)
    watch: WatchConfig = Field(default_factory=WatchConfig)
    paper: PaperConfig = Field(default_factory=PaperConfig)
    backtest: BacktestConfig = Field(default_factory=BacktestConfig)
    log: LogConfig = Field(default_factory=LogConfig)
    sim: SimConfig = Field(default_factory=SimConfig)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        """Check across sections. Each text starts with the key that has to be changed."""
        venue, strategy = self.exchange, self.strategy
        problems = []
        if strategy.size_min < venue.size_min:
            problems.append(
                f"strategy.size_min: {strategy.size_min} is under the venue's minimum; "
                f"accepted: {venue.size_min} or more"
            )
        for key, size in (("size_min", strategy.size_min), ("max_inventory_btc", strategy.max_inventory_btc)):
            if size % venue.size_step:
                problems.append(
                    f"strategy.{key}: {size} is off the venue's step; accepted: multiples of {venue.size_step:f}"
                )
        if strategy.max_inventory_btc < strategy.size_min:
            problems.append(
                f"strategy.max_inventory_btc: {strategy.max_inventory_btc} is under strategy.size_min; "
                f"accepted: {strategy.size_min} or more"
            )
        unit = venue.tick_size * venue.size_step
        for key, limit in (("daily_pnl_jpy", self.risk.daily_pnl_jpy), ("max_dd_jpy", self.risk.max_dd_jpy)):
            if limit % unit:
                problems.append(f"risk.{key}: {limit} is finer than money is counted; accepted: multiples of {unit:f}")
        channels = [f"lightning_{kind}_{venue.product_code}" for kind in PUBLIC_CHANNEL_KINDS]
        problems.extend(
            f"ws.channels: {channel} is no public channel of the product; accepted: {', '.join(channels)}"
            for channel in self.ws.channels
            if channel not in channels
        )
        raise_all(problems)
        return self
