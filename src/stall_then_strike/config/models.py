"""Every setting with its unit, default and bounds. Pure: reads no file and no environment.

The keys of the sections ``exchange`` to ``risk`` are the specification's; the rest serves the architecture. Unknown
keys and wrong types are refused, and so are values that are each legal but impossible together. Decimals are read
as decimals: no setting passes through a binary float.

A validator over several keys says one line per problem, ``key: value and why; accepted: what``, the key counted from
the validator's own section. The loader turns that into the layer that gave the key.
"""

from __future__ import annotations

import re
from datetime import time
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from stall_then_strike.types.instrument import Instrument, Lots


def _number(value: Any) -> Any:
    """Let integers stand for decimals; leave the rest to the strict check."""
    return Decimal(value) if type(value) is int else value


def _bounded(value: Decimal) -> Decimal:
    """Keep every sum and remainder of settings within the 28 digits that decimal arithmetic is exact in."""
    if abs(value) >= 10**10 or value % Decimal("1e-9"):
        raise ValueError("too large or too fine")
    return value


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name of a folder, such as "Asia"
        raise ValueError("no such time zone") from error
    return name


def _raise_all(problems: list[str]) -> None:
    """Raise one ValueError that lists them all."""
    if problems:
        raise ValueError("\n".join(problems))


def _clock_time(value: Any) -> Any:
    """Accept ``HH:MM`` and ``HH:MM:SS`` only: a bare number would be read as seconds."""
    if isinstance(value, str) and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?", value):
        return time.fromisoformat(value)
    raise ValueError("not a time of day")


PUBLIC_CHANNEL_KINDS: Final = ("board_snapshot", "board", "executions", "ticker")
"""The realtime API's public channels are ``lightning_<kind>_<product>`` (bitFlyer API documentation)."""

Number = Annotated[Decimal, BeforeValidator(_number), AfterValidator(_bounded)]
TimeOfDay = Annotated[time, BeforeValidator(_clock_time)]
ZoneName = Annotated[str, AfterValidator(_zone)]


class Section(BaseModel):
    """Base of all sections: frozen, strict, closed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class QuoteMode(StrEnum):
    """Where the two quotes of a strike go."""

    MID = "mid"
    """Around the mid: floor(mid) - offset and ceil(mid) + offset."""
    INSIDE = "inside"
    """One offset better than the best."""
    JOIN = "join"
    """At the best, behind those who are there."""


class CloseType(StrEnum):
    """How a position is closed."""

    MARKET = "market"
    IOC = "ioc"
    """Limit within ``close_band_ticks`` of the best; what is not there is tried again."""


class AfterHalt(StrEnum):
    """What the process does once the kill switch has flattened the position."""

    EXIT = "exit"
    WAIT = "wait"
    """Stay up, and trade again when the trading day rolls."""


class LimitsConfig(Section):
    """The venue's documented rate limits (bitFlyer API documentation). Counted in rolling windows."""

    address_per_5min: int = Field(default=500, ge=1, description="all calls per address in 5 minutes")
    private_per_5min: int = Field(default=500, ge=1, description="private calls per account in 5 minutes")
    orders_per_5min: int = Field(default=300, ge=1, description="order sends and cancel-alls in 5 minutes")
    small_orders_per_min: int = Field(default=100, ge=1, description="orders of small_order_btc or less in a minute")
    small_order_btc: Number = Field(
        default=Decimal("0.1"), gt=0, description="size up to which an order counts as small"
    )
    reserve_private: int = Field(default=60, ge=0, description="private calls that only cancels and closes may use")
    reserve_orders: int = Field(default=30, ge=0, description="order sends that only closes may use")
    reserve_small_orders: int = Field(default=10, ge=0, description="small orders that only closes may use")

    @model_validator(mode="after")
    def _reserve_leaves_something(self) -> Self:
        problems = []
        for reserve, limit in (
            ("reserve_private", min(self.private_per_5min, self.address_per_5min)),
            ("reserve_orders", self.orders_per_5min),
            ("reserve_small_orders", self.small_orders_per_min),
        ):
            kept: int = getattr(self, reserve)
            if kept > limit - 4:
                problems.append(
                    f"{reserve}: {kept} leaves less than one strike (4 calls) of the limit {limit}; "
                    f"accepted: {limit - 4} or less"
                )
        _raise_all(problems)
        return self


class ExchangeConfig(Section):
    """The venue, its addresses and the product's units."""

    name: Literal["bitflyer"] = Field(default="bitflyer", description="venue")
    product_code: str = Field(
        default="FX_BTC_JPY", pattern=r"^[A-Z0-9_]+$", description="product, as the venue spells it"
    )
    base_url: str = Field(
        default="https://api.bitflyer.com",
        pattern=r"^https?://[^\s/${}]+$",
        description="REST address, http(s)://host[:port]",
    )
    ws_url: str = Field(
        default="wss://ws.lightstream.bitflyer.com/json-rpc",
        pattern=r"^wss?://[^\s${}]+$",
        description="WebSocket address, ws(s)://host[:port]/path",
    )
    tick_size: Number = Field(default=Decimal(1), gt=0, description="smallest price step, JPY")
    size_step: Number = Field(default=Decimal("0.00000001"), gt=0, description="smallest size step, BTC")
    size_min: Number = Field(default=Decimal("0.001"), gt=0, description="smallest order the venue takes, BTC")
    limits: LimitsConfig = Field(default_factory=LimitsConfig)

    def instrument(self) -> Instrument:
        """The product's units."""
        scale = int(1 / self.size_step)
        return Instrument(
            product_code=self.product_code,
            tick_size=self.tick_size,
            lot_size=self.size_step,
            min_size=Lots(int(self.size_min * scale)),
        )

    @model_validator(mode="after")
    def _units_fit(self) -> Self:
        problems = []
        for name in ("tick_size", "size_step"):
            step: Decimal = getattr(self, name)
            if 1 % step:
                problems.append(f"{name}: {step} does not divide one evenly; accepted: 1, 0.5, 0.1, 0.01 and the like")
        if self.size_min % self.size_step:
            problems.append(
                f"size_min: {self.size_min} is off the venue's step; accepted: multiples of {self.size_step:f}"
            )
        _raise_all(problems)
        return self


class PybottersConfig(Section):
    """Transport."""

    api_label: Literal["bitflyer"] = Field(default="bitflyer", description="name of the credentials in pybotters")
    timeout_sec: Number = Field(default=Decimal(10), gt=0, le=120, description="limit of one HTTP call, seconds")


class WsConfig(Section):
    """The realtime feed. Public channels that trading needs are always subscribed, also when not listed."""

    channels: tuple[str, ...] = Field(
        default=("lightning_board_snapshot_FX_BTC_JPY", "lightning_board_FX_BTC_JPY"),
        strict=False,
        description="channels to subscribe",
    )
    connect_timeout_sec: Number = Field(
        default=Decimal(15), gt=0, le=600, description="at start, how long to wait for the first whole book, seconds"
    )
    reconnect_min_sec: Number = Field(
        default=Decimal(1),
        gt=0,
        le=60,
        description="shortest pause between two connects, doubled while they fail, seconds",
    )
    snapshot_silence_sec: Number = Field(
        default=Decimal(20),
        gt=5,
        description="no board snapshot (one each 5 s) for so long forces a reconnect, seconds",
    )
    executions_silence_sec: Number = Field(
        default=Decimal(300), gt=0, description="no execution for so long is warned of, seconds (17 s is usual)"
    )
    max_frame_bytes: int = Field(
        default=1_000_000, ge=65_536, description="longer frames are counted and dropped (a snapshot has 21,000 bytes)"
    )


class StallStrategyConfig(Section):
    """Stall, strike, and the ways out."""

    stall_T_ms: int = Field(default=250, ge=1, description="how long both best prices must have stood still, ms")
    min_spread_tick: int = Field(default=1, ge=1, description="narrowest spread to strike in, ticks")
    ttl_ms: int = Field(
        default=800, ge=1, le=50_000, description="life of a quote, ms (the venue's own expiry is 1 minute)"
    )
    max_reverse_ticks: int = Field(
        default=2, ge=1, description="adverse move of the mid against the average price, ticks"
    )
    size_min: Number = Field(default=Decimal("0.001"), gt=0, description="size of one quote, BTC")
    max_inventory_btc: Number = Field(default=Decimal("0.2"), gt=0, description="largest position either way, BTC")
    stale_ms: int = Field(
        default=700, ge=1, description="a book without message for so long is stale, ms (541 is usual)"
    )
    quote_mode: QuoteMode = Field(
        default=QuoteMode.MID, strict=False, description="where quotes go: mid, inside or join"
    )
    quote_offset_ticks: int = Field(default=1, ge=0, description="distance from mid, or improvement of the best, ticks")
    close_type: CloseType = Field(default=CloseType.MARKET, strict=False, description="how to close: market or ioc")
    close_band_ticks: int = Field(
        default=3_000, ge=0, description="how far through the best an IOC close may pay, ticks"
    )
    close_retry_ms: int = Field(
        default=500, ge=50, description="pause before a close that left a rest is sent again, ms"
    )


class RiskConfig(Section):
    """The day's limits. Both are losses, so both are below zero."""

    daily_pnl_jpy: Number = Field(
        default=Decimal(-30_000), lt=0, description="day's result at which to halt, JPY, below 0"
    )
    max_dd_jpy: Number = Field(
        default=Decimal(-20_000), lt=0, description="fall from the day's peak to halt at, JPY, below 0"
    )
    max_rejects: int = Field(default=10, ge=1, description="refused orders within a minute at which to halt")
    max_errors: int = Field(default=3, ge=1, description="exceptions of the strategy in a trading day at which to halt")
    max_clock_skew_sec: Number = Field(
        default=Decimal(3), ge=1, le=60, description="difference to the venue's clock at which to halt, seconds"
    )
    flatten_blind_sec: Number = Field(
        default=Decimal(30),
        gt=0,
        le=600,
        description="once halted, how long a close waits for a believable book before it goes at market, seconds",
    )
    stop_flat: bool = Field(default=False, description="close the position when the program stops")
    after_halt: AfterHalt = Field(
        default=AfterHalt.EXIT, strict=False, description="once flat after a halt: exit or wait"
    )


class ForeignOrders(StrEnum):
    """What to do about orders on the account that are not ours."""

    REPORT = "report"
    CANCEL = "cancel"


class AccountConfig(Section):
    """How the account's truth is kept (live only)."""

    reconcile_sec: Number = Field(
        default=Decimal(60), ge=10, le=3_600, description="pause between two reconciliations without doubt, seconds"
    )
    doubt_ms: int = Field(
        default=3_000, ge=500, le=60_000, description="an event that is overdue by so much calls for one, ms"
    )
    vanish_sec: Number = Field(
        default=Decimal(60),
        ge=1,
        le=600,
        description="past its expiry, how long an order without trace counts as live, seconds",
    )
    position_checks: int = Field(
        default=3, ge=2, le=20, description="reconciliations in a row with the same unexplained position that halt"
    )
    list_lag_sec: Number = Field(
        default=Decimal(90),
        ge=5,
        le=600,
        description="how long the venue's lists may lack what two channels told of, seconds",
    )
    failing_sec: Number = Field(
        default=Decimal(60),
        ge=10,
        le=3_600,
        description="how long the account may not be asked or not agree: then an alert and no quotes, seconds",
    )
    foreign_orders: ForeignOrders = Field(
        default=ForeignOrders.REPORT, strict=False, description="orders that are not ours: report or cancel"
    )
    stop_sec: Number = Field(
        default=Decimal(20), ge=1, le=300, description="how long a stop waits for cancels to be confirmed, seconds"
    )


class JournalConfig(Section):
    """What outlives the process: one SQLite file per product."""

    dir: str = Field(default="data/journal", min_length=1, description="folder of the journals")
    keep_days: int = Field(default=30, ge=2, le=3_650, description="age at which ended orders and fills are forgotten")
    locked_sec: Number = Field(
        default=Decimal(120),
        ge=5,
        le=3_600,
        description="how long another program may lock the journal before trading halts, seconds",
    )


class RecordConfig(Section):
    """Recording beside trading."""

    enabled: bool = Field(default=False, description="whether run_live and run_paper record")
    dir: str = Field(default="data/raw", min_length=1, description="folder of the recordings")
    own_events: bool = Field(
        default=True, description="what the core is told is recorded too, so that it can be replayed"
    )
    queue_frames: int = Field(
        default=20_000,
        ge=1_000,
        le=1_000_000,
        description="frames that may wait for a slow disk; beyond, some are lost",
    )


class WatchConfig(Section):
    """Watching the process itself, and telling of trouble (live only)."""

    lag_warn_ms: int = Field(default=100, ge=10, le=10_000, description="event-loop lag that is warned of, ms")
    heartbeat_sec: Number = Field(
        default=Decimal(1), gt=0, le=10, description="pause between two heartbeats for the watchdog, seconds"
    )
    heartbeat_limit_sec: Number = Field(
        default=Decimal(15), ge=2, le=300, description="silence at which the watchdog cancels all orders, seconds"
    )
    alert_disconnect_sec: Number = Field(
        default=Decimal(30), ge=1, le=3_600, description="a disconnect of so long is alerted, seconds"
    )
    alert_pause_sec: Number = Field(
        default=Decimal(60), ge=0, le=86_400, description="pause between two alerts of one kind, seconds"
    )
    min_free_disk_mb: int = Field(default=500, ge=1, description="free disk space at which to warn, MB")

    @model_validator(mode="after")
    def _beats_within_the_limit(self) -> Self:
        if self.heartbeat_limit_sec < 3 * self.heartbeat_sec:
            raise ValueError(
                f"heartbeat_limit_sec: {self.heartbeat_limit_sec} leaves no room for a late heartbeat; "
                f"accepted: {3 * self.heartbeat_sec} (three heartbeats) or more"
            )
        return self


class QuietWindow(Section):
    """A time of day without quotes. A window may pass midnight."""

    start: TimeOfDay = Field(strict=False, description='"HH:MM[:SS]", included')
    end: TimeOfDay = Field(strict=False, description='"HH:MM[:SS]", excluded')
    why: str = Field(
        pattern=r"^[^\p{C}\p{Zl}\p{Zp}]{1,60}$", description="for the log, one line of at most 60 characters"
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start == self.end:
            raise ValueError(f"end: {self.end:%H:%M:%S} is also the start; accepted: another time of day")
        return self


class SessionConfig(Section):
    """The trading day and its quiet times, in one zone."""

    timezone: ZoneName = Field(default="Asia/Tokyo", description="IANA zone of the day roll and of the quiet times")
    day_start: TimeOfDay = Field(default=time(0), strict=False, description='when the trading day rolls, "HH:MM"')
    quiet: tuple[QuietWindow, ...] = Field(default=(), strict=False, description="windows without quotes")


class LatencyKind(StrEnum):
    """Shape of a latency distribution."""

    CONSTANT = "constant"
    UNIFORM = "uniform"
    LOGNORMAL = "lognormal"
    SAMPLED = "sampled"
    """As recorded: every latency of a file is as likely as any other."""


class QueueModel(StrEnum):
    """How many of those who leave a level without a trade stood ahead of us."""

    SHARE = "share"
    """A fixed share of them."""
    PESSIMISTIC = "pessimistic"
    """None."""
    POWER = "power"
    """As many as f / (f + b), f and b being powers of what stands ahead of us and behind us."""


class LatencyConfig(Section):
    """From sending a request to its effect at the venue."""

    kind: LatencyKind = Field(
        default=LatencyKind.LOGNORMAL, strict=False, description="constant, uniform, lognormal or sampled"
    )
    median_ms: Number = Field(default=Decimal(100), ge=0, description="median, ms")
    spread_ms: Number = Field(
        default=Decimal(60),
        ge=0,
        description="constant: unused; uniform: half width; lognormal: 95th percentile less median",
    )
    file: str = Field(default="", description="sampled: file with one latency in ms a line")
    spike_share: Number = Field(
        default=Decimal(0), ge=0, le=1, description="share of the time in which the venue answers late"
    )
    spike_sec: Number = Field(default=Decimal(2), gt=0, le=3_600, description="length of such a spike, seconds")
    spike_ms: Number = Field(
        default=Decimal(2_000), ge=0, le=600_000, description="what a request takes longer in a spike, ms"
    )

    @model_validator(mode="after")
    def _not_negative(self) -> Self:
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

    seed: int = Field(default=1, ge=0, description="seed of the latencies")
    order_latency: LatencyConfig = Field(default_factory=LatencyConfig)
    cancel_latency: LatencyConfig = Field(default_factory=LatencyConfig)
    queue_model: QueueModel = Field(
        default=QueueModel.SHARE,
        strict=False,
        description="how many of the cancels at our price were ahead of us: share, pessimistic (none) or power",
    )
    queue_cancel_share: Number = Field(
        default=Decimal("0.5"), ge=0, le=1, description="share: of untraded level decreases taken as ahead of us"
    )
    queue_power: int = Field(default=2, ge=1, le=4, description="power: its exponent")
    maker_fee: Number = Field(
        default=Decimal(0), ge=Decimal("-0.01"), le=Decimal("0.01"), description="share of notional"
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
    """What replays a tape."""

    AUTO = "auto"
    """Compiled, if it can reproduce the configuration; else interpreted."""
    INTERPRETED = "interpreted"
    COMPILED = "compiled"


class BacktestConfig(Section):
    """Replay of recorded tapes. Its latencies, queues and fees are those of ``paper``."""

    engine: Engine = Field(
        default=Engine.AUTO, strict=False, description="auto, interpreted, or compiled (needs the extra research)"
    )
    cache_dir: str = Field(default="data/cache", min_length=1, description="folder of prepared tapes")


class LogConfig(Section):
    """Runtime and structured logs."""

    rotation: str = Field(
        default="10 MB",
        pattern=r"^[1-9][0-9]{0,5} (KB|MB|GB)$",
        description="size at which app.log and ws.log start anew",
    )
    retention: str = Field(
        default="7 days", pattern=r"^[1-9][0-9]{0,3} (hours?|days?|weeks?)$", description="age at which rotated logs go"
    )
    flush_ms: int = Field(default=250, ge=10, le=900, description="CSV rows reach the file within this, ms")
    queue_rows: int = Field(
        default=20_000, ge=100, description="rows that may wait for a slow disk; beyond, quoting stops"
    )


class SimConfig(Section):
    """The embedded exchange."""

    seed: int = Field(default=7, ge=0, description="seed of the order flow")
    speed: Number = Field(default=Decimal(1), gt=0, le=100, description="how fast its time runs")
    collateral_jpy: Number = Field(
        default=Decimal(2_000_000), gt=0, description="of the account that run_live trades on, JPY"
    )
    faults: str = Field(default="", description="file of the fault plan, empty for none")


class AppConfig(Section):
    """All of it."""

    env: Literal["paper", "live", "sim"] = Field(
        default="paper", description="what the file is for: paper, live, or sim (either, on the embedded exchange)"
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
        """Checks across sections; each text starts with the key that is to be changed."""
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
        _raise_all(problems)
        return self
