"""Lighter's checks before real orders are sent, as a list of findings. They read and change nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from pydantic import ValidationError

from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.trading import STALL_THEN_STRIKE
from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.line.clock_skew import ClockSkew
from stall_then_strike.lighter.client import ask_public
from stall_then_strike.lighter.factory import LighterParts
from stall_then_strike.lighter.markets import configured_market
from stall_then_strike.lighter.messages import WIRE_NUMBER, Position
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.types.errors import (
    AuthRefused,
    ConfigError,
    NoAnswer,
    Rejected,
    Retryable,
    Throttled,
    VenueError,
)
from stall_then_strike.types.text import money, plain
from stall_then_strike.venues.findings import (
    TO_MEND,
    CheckResult,
    address_finding,
    clock_finding,
    collateral_finding,
    fault,
    ok,
    orders_finding,
    position_finding,
    warning,
)
from stall_then_strike.venues.lighter_hand import lighter_cancel_all

_DOMAINS: Final = (".zklighter.elliot.ai", ".lighter.xyz")
_NO_ACCOUNT: Final = 21100
_FRACTION_ONE: Final = Decimal(10_000)
_ISOLATED: Final = 1
_UNITS: Final = ("size_decimals", "price_decimals")


def is_lighter_host(host: str) -> bool:
    """Whether a host is the venue's."""
    return host.endswith(_DOMAINS)


async def lighter_checks(
    cfg: AppConfig, account: LighterAccount | None, parts: LighterParts | None, skew: ClockSkew, clock: Clock
) -> list[CheckResult]:
    """All findings about the venue. Never raises for what it finds. Without ``account``, the public side alone."""
    results = [] if account is None else [ok("credentials", f"{account.source}; account {account.account_index}")]
    address = address_finding(cfg, "Lighter", is_lighter_host, "transactions")
    results.append(address)
    if address.exit_code:
        return results
    try:
        details = await ask_public(cfg.exchange.base_url, clock, "orderBookDetails")
    except VenueError as error:
        return [*results, _failed("venue", error)]
    listed = details.get("order_book_details")
    dicts = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    rows = {index: row for row in dicts if type(index := row.get("market_id")) is int}
    results.append(ok("venue", f"{len(rows)} markets"))
    results.append(clock_finding(skew, cfg.risk.max_clock_skew_sec))
    each = cfg.by_instrument()
    results += [_market(one, rows.get(one.exchange.market_index), len(each) > 1) for one in each]
    if account is not None and parts is not None:
        results += await _account(cfg, account, parts, rows)
        results += await _watchdog(cfg, account)
    return results


async def _watchdog(cfg: AppConfig, account: LighterAccount) -> list[CheckResult]:
    """Whether the watchdog's own key is another one of the account, and accepted. Without one there is no finding."""
    if not cfg.watch.account:
        return []
    try:
        async with lighter_cancel_all(cfg, account) as hand:
            await hand.check_key()
    except ConfigError as error:
        return [fault("watchdog", str(error), "correct watch.account", exit_code=TO_MEND)]
    except (AuthRefused, NoAnswer) as error:
        return [_failed("watchdog", error)]
    return [ok("watchdog", f"the key of {cfg.watch.account!r} is accepted: it can set the venue's own cancel-all")]


def _market(cfg: AppConfig, row: Mapping[str, Any] | None, is_one_of_several: bool) -> CheckResult:
    """Whether the venue knows the market by the same units, and a quote is worth enough."""
    market, unit = configured_market(cfg.exchange), cfg.exchange.instrument()
    name = f"market {unit.product_code}" if is_one_of_several else "market"
    if row is None or row.get("symbol") != market.symbol or row.get("status") != "active":
        return fault(
            name, f"{market.symbol} is not open at the venue", "see sts refresh_instruments --exchange XLIGHTER"
        )
    for key, told in zip(_UNITS, (market.size_decimals, market.price_decimals), strict=True):
        if row.get(f"supported_{key}", told) != told:
            return fault(
                name,
                f"the venue's {key} are {row.get(f'supported_{key}')}, the configuration's {told}",
                "run sts refresh_instruments --exchange XLIGHTER and start anew",
                exit_code=TO_MEND,
            )
    price = _price(row)
    size = plain(cfg.strategy.size_min)
    quotes_it = cfg.strategy.name == STALL_THEN_STRIKE  # other strategies have sizes of their own
    if price and quotes_it and cfg.strategy.size_min * price < market.min_quote:
        steps = (market.min_quote / price / unit.lot_size).to_integral_value(ROUND_CEILING)
        least = plain(steps * unit.lot_size)
        return fault(
            name,
            f"strategy.size_min: {size} {unit.base} at {plain(price)} is worth less than {plain(market.min_quote)} "
            f"{unit.quote}, which the venue wants of an order",
            f"set it to {least} or more",
            exit_code=TO_MEND,
        )
    return ok(name, f"{market.symbol}, open; steps of {plain(unit.tick_size)} {unit.quote} and {plain(unit.lot_size)}")


def _price(row: Mapping[str, Any]) -> Decimal:
    return _number(row.get("last_trade_price") or row.get("mark_price"))


def _number(told: object) -> Decimal:
    """A number of an answer; zero if it is missing or none."""
    try:
        return WIRE_NUMBER.validate_python(told or 0)
    except ValidationError:
        return Decimal(0)


async def _account(
    cfg: AppConfig, account: LighterAccount, parts: LighterParts, rows: Mapping[int, Mapping[str, Any]]
) -> list[CheckResult]:
    try:
        orders = await parts.calls.active_orders(None)
    except VenueError as error:
        return [_failed("api key", error)]
    results = [ok("api key", f"key {account.api_key_index} is registered")]
    try:
        shown = await parts.calls.account()
        collateral = WIRE_NUMBER.validate_python(shown.get("collateral") or 0)
        worth = WIRE_NUMBER.validate_python(shown.get("total_asset_value") or collateral)
        held = [Position.model_validate(row) for row in shown.get("positions") or []]
    except VenueError as error:
        return [*results, _failed("account", error)]
    except (ValidationError, TypeError):
        return [*results, fault("account", "the venue's answer cannot be read", "try again later")]
    results.append(collateral_finding(collateral, cfg.exchange.quote))
    results.append(_margin(cfg, worth, rows))
    results += margin_modes(cfg, held)
    results.append(orders_finding(cfg, len(orders)))
    results += _positions(cfg, held)
    return results


def _margin(cfg: AppConfig, worth: Decimal, rows: Mapping[int, Mapping[str, Any]]) -> CheckResult:
    """Whether the account carries the largest positions of all instruments at once."""
    needed = Decimal(0)
    for each in cfg.by_instrument():
        row = rows.get(each.exchange.market_index) or {}
        share = (_number(row.get("default_initial_margin_fraction")) or _FRACTION_ONE) / _FRACTION_ONE
        needed += each.strategy.max_inventory_btc * _price(row) * share
    quote = cfg.exchange.quote
    text = f"the largest positions bind {money(needed, signed=False)} of {money(worth, signed=False)} {quote}"
    if needed <= worth:
        return ok("margin", text)
    return warning("margin", text, "lower strategy.max_inventory or deposit more: orders beyond it are cancelled")


def margin_modes(cfg: AppConfig, held: Sequence[Position]) -> list[CheckResult]:
    """A warning if the account has isolated margin in one of the markets."""
    isolated = {position.market_id for position in held if position.margin_mode == _ISOLATED}
    names = [one.exchange.product_code for one in cfg.by_instrument() if one.exchange.market_index in isolated]
    if not names:
        return []
    text = (
        f"isolated in {' and '.join(names)}: what a position binds there leaves the collateral, and is told as missing"
    )
    return [warning("margin mode", text, "set it to cross at the venue, while no position and no order is open")]


def _positions(cfg: AppConfig, held: Sequence[Position]) -> list[CheckResult]:
    each = cfg.by_instrument()
    sizes = {position.market_id: position.size for position in held}
    return [
        position_finding(
            sizes.get(one.exchange.market_index, Decimal(0)),
            one.exchange.instrument(),
            one.strategy.max_inventory_btc,
            "strategy.max_inventory",
            name=f"position {one.exchange.product_code}" if len(each) > 1 else "position",
        )
        for one in each
    ]


def _failed(name: str, error: VenueError) -> CheckResult:
    """The result for a failed request."""
    if isinstance(error, AuthRefused):
        return fault(
            name,
            str(error),
            "check account_index, api_key_index and the private key: the venue must have this key registered under "
            "this index; and that this machine's clock is right",
            exit_code=TO_MEND,
        )
    if isinstance(error, Throttled):
        return fault(name, str(error), "another program uses up the limits; stop it, and wait a minute")
    if isinstance(error, Rejected) and error.code == _NO_ACCOUNT:
        return fault(name, str(error), "check account_index", exit_code=TO_MEND)
    if isinstance(error, Retryable):
        return fault(name, str(error), "check the network and exchange.base_url")
    return fault(name, str(error), "check the venue's announcements")
