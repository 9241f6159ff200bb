"""Settings of the venue and of the connections to it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from stall_then_strike.config.fields import Number, Section, raise_all
from stall_then_strike.types.instrument import Instrument, Lots, Money

PUBLIC_CHANNEL_KINDS: Final = ("board_snapshot", "board", "executions", "ticker")
"""The realtime API's public channels are ``lightning_<kind>_<product>`` (bitFlyer API documentation)."""


class LimitsConfig(Section):
    """The venue's documented rate limits (bitFlyer API documentation), in rolling windows."""

    address_per_5min: int = Field(
        default=500, ge=1, description="all calls from this address in 5 minutes, public ones included"
    )
    private_per_5min: int = Field(default=500, ge=1, description="private calls of the account in 5 minutes")
    orders_per_5min: int = Field(default=300, ge=1, description="order sends and cancel-alls in 5 minutes")
    small_orders_per_min: int = Field(default=100, ge=1, description="orders of small_order_btc or less in a minute")
    small_order_btc: Number = Field(
        default=Decimal("0.1"), gt=0, description="largest size of an order that counts as small, BTC"
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
        raise_all(problems)
        return self


BITFLYER: Final = "bitflyer"
LIGHTER: Final = "lighter"
VENUES: Final = (BITFLYER, LIGHTER)
_ALIASES: Final = {"xlighter": LIGHTER}


def venue_named(text: str) -> str:
    """A venue's name as settings have it, for any of its spellings: ``lighter`` for ``XLIGHTER``."""
    name = text.lower()
    return _ALIASES.get(name, name)


class ProductConfig(Section):
    """A product and its units. At Lighter all of them come from the venue's list of markets, unless all are given."""

    product_code: str = Field(
        default="FX_BTC_JPY", pattern=r"^[A-Z0-9_]+$", description="product, as the venue spells it"
    )
    tick_size: Number = Field(default=Decimal(1), gt=0, description="smallest price step, quote currency")
    size_step: Number = Field(default=Decimal("0.00000001"), gt=0, description="smallest size step, base currency")
    size_min: Number = Field(
        default=Decimal("0.001"), gt=0, description="smallest order that the venue accepts, base currency"
    )
    notional_min: Number = Field(
        default=Decimal(0), ge=0, description="least price times size of a resting order, quote currency"
    )
    base: str = Field(default="", max_length=20, description="asset that is traded; empty: by the product's code")
    quote: str = Field(default="", max_length=20, description="currency of prices; empty: by the product's code")
    market_index: int = Field(
        default=-1, ge=-1, le=4094, description="Lighter's number of the market, which is filled in by itself; -1: none"
    )

    def instrument(self) -> Instrument:
        """The product's units."""
        tick, lot = self.tick_size, self.size_step
        return Instrument(
            product_code=self.product_code,
            tick_size=tick,
            lot_size=lot,
            min_size=Lots(int(self.size_min / lot)),
            min_notional=Money(int(self.notional_min / (tick * lot))),
            base=self.base,
            quote=self.quote,
        )

    @model_validator(mode="after")
    def _units_fit(self) -> Self:
        problems = [
            f"{name}: {step} does not divide one evenly; accepted: 1, 0.5, 0.1, 0.01 and the like"
            for name, step in (("tick_size", self.tick_size), ("size_step", self.size_step))
            if 1 % step
        ]
        if self.size_min % self.size_step:
            problems.append(
                f"size_min: {self.size_min} is off the venue's step; accepted: multiples of {self.size_step:f}"
            )
        raise_all(problems)
        return self


class ExchangeConfig(ProductConfig):
    """The venue, its addresses and the product that is traded."""

    name: Literal["bitflyer", "lighter"] = Field(default="bitflyer", description="the venue: bitflyer or lighter")
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
    plan: Literal["standard", "premium", "plus", "builder"] = Field(
        default="standard", description="the account's plan at Lighter"
    )
    limits: LimitsConfig = Field(default_factory=LimitsConfig)

    @field_validator("name", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        return venue_named(given) if isinstance(given, str) else given


class PybottersConfig(Section):
    """Transport."""

    api_label: Literal["bitflyer"] = Field(default="bitflyer", description="name of the credentials in pybotters")
    timeout_sec: Number = Field(default=Decimal(10), gt=0, le=120, description="limit of one HTTP call, seconds")


class WsConfig(Section):
    """The realtime feed. Public channels that trading needs are subscribed whether they are listed or not."""

    channels: tuple[str, ...] = Field(
        default=("lightning_board_snapshot_FX_BTC_JPY", "lightning_board_FX_BTC_JPY"),
        strict=False,
        description="channels to subscribe; those that trading needs are subscribed, listed or not",
    )
    connect_timeout_sec: Number = Field(
        default=Decimal(15), gt=0, le=600, description="wait at start for the first whole book, seconds"
    )
    reconnect_min_sec: Number = Field(
        default=Decimal(1),
        gt=0,
        le=60,
        description="shortest pause between two connects, doubles while they fail, seconds",
    )
    snapshot_silence_sec: Number = Field(
        default=Decimal(20),
        gt=5,
        description="time without a board snapshot (one every 5 s) that forces a reconnect, seconds",
    )
    executions_silence_sec: Number = Field(
        default=Decimal(300), gt=0, description="time without an execution at which to warn, seconds (17 s is usual)"
    )
    max_frame_bytes: int = Field(
        default=1_000_000,
        ge=65_536,
        description="length beyond which a frame is counted and dropped (a snapshot has 21,000 bytes)",
    )
