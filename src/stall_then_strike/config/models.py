"""All settings as one value, and every section under one name. Pure: reads no file and no environment.

The keys of the sections ``exchange`` to ``risk`` are those of the specification; the rest serves the architecture.
Unknown keys and wrong types are refused, and so are values that are legal one by one and impossible together. Decimals
are read as decimals: no setting passes through a binary float. Each setting is defined with its unit, default and
bounds.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from stall_then_strike.config.fields import Parameters, Section, raise_all
from stall_then_strike.config.products import InstrumentConfig, filled_in
from stall_then_strike.config.replay import (
    BacktestConfig,
    Engine,
    LatencyConfig,
    LatencyKind,
    PaperConfig,
    PrintThrough,
    QueueModel,
    SimConfig,
)
from stall_then_strike.config.running import ControlConfig, JournalConfig, LogConfig, RecordConfig, WatchConfig
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
from stall_then_strike.config.venue import (
    LIGHTER,
    PUBLIC_CHANNEL_KINDS,
    ExchangeConfig,
    LimitsConfig,
    ProductConfig,
    PybottersConfig,
    WsConfig,
)

__all__ = [
    "PUBLIC_CHANNEL_KINDS",
    "AccountConfig",
    "AfterHalt",
    "AppConfig",
    "BacktestConfig",
    "CloseType",
    "ControlConfig",
    "Engine",
    "ExchangeConfig",
    "ForeignOrders",
    "InstrumentConfig",
    "JournalConfig",
    "LatencyConfig",
    "LatencyKind",
    "LimitsConfig",
    "LogConfig",
    "PaperConfig",
    "PrintThrough",
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
    instruments: tuple[InstrumentConfig, ...] = Field(
        default=(),
        strict=False,
        description="several products of the account: a list with, for each, product_code and what differs from above",
    )
    pybotters: PybottersConfig = Field(default_factory=PybottersConfig)
    ws: WsConfig = Field(default_factory=WsConfig)
    strategy: StallStrategyConfig = Field(default_factory=StallStrategyConfig)
    parameters: Parameters = Field(
        default_factory=dict, description="settings of another strategy; its page or its class says which there are"
    )
    risk: RiskConfig = Field(default_factory=RiskConfig)
    account: AccountConfig = Field(default_factory=AccountConfig)
    session: SessionConfig = Field(default_factory=SessionConfig)
    journal: JournalConfig = Field(default_factory=JournalConfig)
    record: RecordConfig = Field(default_factory=RecordConfig)
    watch: WatchConfig = Field(default_factory=WatchConfig)
    control: ControlConfig = Field(default_factory=ControlConfig)
    paper: PaperConfig = Field(default_factory=PaperConfig)
    backtest: BacktestConfig = Field(default_factory=BacktestConfig)
    log: LogConfig = Field(default_factory=LogConfig)
    sim: SimConfig = Field(default_factory=SimConfig)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, tree: Any) -> Any:
        return filled_in(tree)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        """Check across sections. Each text starts with the key that has to be changed."""
        problems = []
        if self.instruments:
            for number, one in enumerate(self.instruments):
                at = f"instruments.{number}."
                problems += _strategy_problems(one, one.strategy, at)
                problems += _money_problems(one, self.risk)
        else:
            problems += _strategy_problems(self.exchange, self.strategy, "") + _money_problems(self.exchange, self.risk)
        codes = self.products
        problems.extend(
            f"instruments.{number}.product_code: {code} is given twice; accepted: each product once"
            for number, code in enumerate(codes)
            if code in codes[:number]
        )
        if self.exchange.name == LIGHTER:
            problems += _lighter_problems(self)
        channels = [f"lightning_{kind}_{code}" for code in codes for kind in PUBLIC_CHANNEL_KINDS]
        problems.extend(
            f"ws.channels: {channel} is no public channel of the product; accepted: {', '.join(channels)}"
            for channel in self.ws.channels
            if channel not in channels and self.exchange.name != LIGHTER
        )
        raise_all(problems)
        return self

    @property
    def products(self) -> tuple[str, ...]:
        """The product codes of all instruments, in order."""
        return tuple(one.product_code for one in self.instruments) or (self.exchange.product_code,)

    def at(self, base_url: str, ws_url: str) -> AppConfig:
        """The same with other addresses of the venue."""
        urls = {"base_url": base_url, "ws_url": ws_url}
        return self.model_copy(update={"exchange": self.exchange.model_copy(update=urls)})

    def by_instrument(self) -> tuple[AppConfig, ...]:
        """The configuration of each instrument alone, in order; this one itself if there is only one."""
        if not self.instruments:
            return (self,)
        return tuple(
            self.model_copy(
                update={
                    "exchange": self.exchange.model_copy(
                        update={name: getattr(one, name) for name in ProductConfig.model_fields}
                    ),
                    "strategy": one.strategy,
                    "parameters": one.parameters,
                    "instruments": (),
                }
            )
            for one in self.instruments
        )


def _strategy_problems(venue: ExchangeConfig | InstrumentConfig, strategy: StallStrategyConfig, at: str) -> list[str]:
    """What does not fit between a product's units and a strategy. ``at`` goes before each key."""
    problems = []
    if strategy.size_min < venue.size_min:
        problems.append(
            f"{at}strategy.size_min: {strategy.size_min} is under the venue's minimum; "
            f"accepted: {venue.size_min} or more"
        )
    for key, size in (("size_min", strategy.size_min), ("max_inventory_btc", strategy.max_inventory_btc)):
        if size % venue.size_step:
            problems.append(
                f"{at}strategy.{key}: {size} is off the venue's step; accepted: multiples of {venue.size_step:f}"
            )
    if strategy.max_inventory_btc < strategy.size_min:
        problems.append(
            f"{at}strategy.max_inventory_btc: {strategy.max_inventory_btc} is under {at}strategy.size_min; "
            f"accepted: {strategy.size_min} or more"
        )
    return problems


def _lighter_problems(cfg: AppConfig) -> list[str]:
    """What Lighter needs besides, once the markets' units are filled in."""
    numbered: list[tuple[str, ProductConfig]] = [
        (f"instruments.{number}.", one) for number, one in enumerate(cfg.instruments)
    ]
    return [
        f"{at}market_index: {one.market_index} is no perpetual of Lighter; accepted: 0 to 254"
        for at, one in numbered or [("exchange.", cfg.exchange)]
        if not 0 <= one.market_index < 255
    ]


def _money_problems(venue: ExchangeConfig | InstrumentConfig, risk: RiskConfig) -> list[str]:
    unit = venue.tick_size * venue.size_step
    return [
        f"risk.{key}: {limit} is finer than money is counted; accepted: multiples of {unit:f}"
        for key, limit in (("daily_pnl_jpy", risk.daily_pnl_jpy), ("max_dd_jpy", risk.max_dd_jpy))
        if limit % unit
    ]
