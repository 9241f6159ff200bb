"""bitFlyer's checks before real orders are sent, as a list of findings. They read and change nothing.

Nothing here can send or cancel an order: the venue gets only read requests. Requests that cannot help are skipped: when
the venue is unreachable, or refuses the key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from typing import Final, TypeVar

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.answers import BoardCondition, Collateral, Position
from stall_then_strike.infra.bitflyer.bitflyer_rules import LimitName
from stall_then_strike.infra.bitflyer.credentials import Credentials, is_venue_host
from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.http_bitflyer import BitflyerHttp
from stall_then_strike.types.dto import NS_PER_S, BoardState, Health, ReportedState
from stall_then_strike.types.errors import AuthRefused, Retryable, Throttled, VenueError
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

NEEDED_PERMISSIONS: Final = tuple(
    f"/v1/me/{name}"
    for name in (
        "sendchildorder",
        "cancelchildorder",
        "cancelallchildorders",
        "getchildorders",
        "getexecutions",
        "getpositions",
        "getcollateral",
    )
)
"""Permissions that live trading needs; the one for ``getchildorders`` includes the order events."""
UNWANTED_PERMISSIONS: Final = ("/v1/me/withdraw", "/v1/me/sendcoin")
"""Permissions that a trading key should not have."""
LEVERAGE: Final = 2
"""Leverage of an individual's account on the CFD (bitFlyer's product rules)."""
_SLACK: Final = Decimal("1.05")
"""Tolerance of the margin check: the price moves by this much in a day."""
_SHOWN: Final = Decimal("0.0001")
_CALLS_OF_A_STRIKE: Final = 4
_KEY_PAGE: Final = "bitFlyer Lightning, page API"
_OF_PRODUCT: Final = frozenset({"venue", "margin", "open orders", "position"})
"""The checks that concern one product; the others concern the account."""
_A = TypeVar("_A")


async def bitflyer_checks(
    each: Sequence[AppConfig], credentials: Credentials | None, https: Sequence[BitflyerHttp], clock: Clock
) -> list[CheckResult]:
    """All findings about the venue, with six calls for each product. Never raises for what it finds.

    Without ``credentials`` the account is not checked. ``https`` must sign with them.
    """
    results = [] if credentials is None else [_credentials(credentials)]
    if each[0].env == "live" or credentials is not None:
        address = address_finding(each[0], "bitFlyer", is_venue_host, "keys")
        results.append(address)
        if address.exit_code:
            return results
    for cfg, http in zip(each, https, strict=True):
        found = await _venue(cfg, http, clock, is_private=credentials is not None)
        if cfg is not each[0]:
            product = cfg.exchange.product_code
            found = [replace(one, name=f"{one.name} {product}") for one in found if one.name in _OF_PRODUCT]
        results += found
    return results


async def _venue(cfg: AppConfig, http: BitflyerHttp, clock: Clock, *, is_private: bool) -> list[CheckResult]:
    condition = await _answer(http.get_board_state())
    if isinstance(condition, VenueError):
        return [_failed("venue", condition)]
    results = [_board(condition)]
    if is_private:
        results += await _account(cfg, http, clock)
    results.insert(1, clock_finding(http.skew, cfg.risk.max_clock_skew_sec))  # uses the dates of all answers
    return results


async def _account(cfg: AppConfig, http: BitflyerHttp, clock: Clock) -> list[CheckResult]:
    permissions = await _answer(http.get_permissions())
    if isinstance(permissions, VenueError):
        return [_failed("api key", permissions)]
    results = [ok("api key", "accepted"), _permissions(permissions)]
    may = permissions.__contains__
    if may("/v1/me/getcollateral"):
        margin = await _answer(http.get_collateral())
        if isinstance(margin, VenueError):
            results.append(_failed("collateral", margin))
        else:
            results.append(_collateral(cfg, margin))
            results.append(_margin(cfg, margin, await _answer(http.get_last_price())))
    if may("/v1/me/getchildorders"):
        orders = await _answer(http.get_child_orders(ReportedState.ACTIVE))
        if isinstance(orders, VenueError):
            results.append(_failed("open orders", orders))
        else:
            results.append(orders_finding(cfg, len(orders)))
    if may("/v1/me/getpositions"):
        held = await _answer(http.get_positions())
        results.append(_failed("position", held) if isinstance(held, VenueError) else _position(cfg, held))
    results.append(_limits(cfg, http, clock))
    return results


async def _answer(question: Awaitable[_A]) -> _A | VenueError:
    try:
        return await question
    except VenueError as error:
        return error


def _failed(name: str, error: VenueError) -> CheckResult:
    """The result for a failed request."""
    if isinstance(error, AuthRefused):
        return fault(
            name,
            str(error),
            f"check that key and secret belong together, that the key still exists and may call this ({_KEY_PAGE}), "
            "and that this machine's clock is right",
            exit_code=TO_MEND,
        )
    if isinstance(error, Throttled):
        return fault(name, str(error), "another program uses up the limits; stop it, and wait five minutes")
    if isinstance(error, Retryable):
        return fault(
            name, str(error), "check the network and exchange.base_url, or wait for the end of the venue's maintenance"
        )
    return fault(name, str(error), "check exchange.product_code and the venue's announcements")


def _board(condition: BoardCondition) -> CheckResult:
    state, health = condition.state or BoardState.UNKNOWN, condition.health or Health.UNKNOWN
    text = f"board {state.value}, health {health.value}"
    if state is not BoardState.RUNNING:
        return fault(
            "venue", text, "wait until the board runs; the daily maintenance is from 04:00 to about 04:12 in Tokyo"
        )
    if health in {Health.STOP, Health.NO_ORDER}:
        return fault("venue", text, "the venue takes no orders; see its announcements")
    if health in {Health.SUPER_BUSY, Health.UNKNOWN}:
        return warning("venue", text, "orders may fail or be late")
    return ok("venue", text)


def _credentials(credentials: Credentials) -> CheckResult:
    where = {"environment": "from the environment", "both": "from the environment and the file"}.get(
        credentials.source, f"from {credentials.source}"
    )
    text = f"{where}; fingerprint {credentials.fingerprint}"
    if credentials.is_exposed:
        return warning("credentials", f"{text}; others may read the file", "chmod 600 .env")
    return ok("credentials", text)


def _permissions(permissions: frozenset[str]) -> CheckResult:
    missing = [path.rpartition("/")[2] for path in NEEDED_PERMISSIONS if path not in permissions]
    if missing:
        return fault(
            "permissions",
            f"missing: {', '.join(missing)}",
            f"make a key that has them ({_KEY_PAGE})",
            exit_code=TO_MEND,
        )
    unwanted = [path.rpartition("/")[2] for path in UNWANTED_PERMISSIONS if path in permissions]
    if unwanted:
        return warning(
            "permissions",
            f"all that trading needs, and {', '.join(unwanted)}",
            f"use a key that cannot move funds out ({_KEY_PAGE})",
        )
    return ok("permissions", "all that trading needs")


def _collateral(cfg: AppConfig, margin: Collateral) -> CheckResult:
    unit = cfg.exchange.instrument()
    found = collateral_finding(unit.amount(margin.collateral), unit.quote)
    if found.exit_code or margin.required <= 0:
        return found
    text = f"{found.text}, keep rate {margin.keep_rate * 100:,.0f} %"
    if margin.keep_rate < 1:
        return warning("collateral", text, "under 100 % the venue calls for margin and takes no new position")
    return ok("collateral", text)


def _margin(cfg: AppConfig, margin: Collateral, price: Decimal | VenueError) -> CheckResult:
    """Whether the collateral suffices for the strategy's largest position and the two quotes of a strike."""
    if isinstance(price, VenueError):
        return warning("margin", f"the price cannot be told: {price}", "compare collateral and position by hand")
    unit, strategy = cfg.exchange.instrument(), cfg.strategy
    worth = unit.amount(margin.collateral + margin.open_pnl)
    wanted = max(strategy.max_inventory_btc, 2 * strategy.size_min)
    needed = wanted * price / LEVERAGE
    carried = (worth * LEVERAGE / price).quantize(_SHOWN, ROUND_DOWN)
    text = f"carries {plain(carried)} {unit.base} at {price:,.0f}, leverage {LEVERAGE}"
    if needed <= worth * _SLACK:
        return ok("margin", text)
    return warning(
        "margin",
        f"{text}; strategy.max_inventory_btc {plain(strategy.max_inventory_btc)} with quotes of "
        f"{plain(strategy.size_min)} needs {money(needed, signed=False)} {unit.quote}",
        "lower strategy.max_inventory_btc or deposit more: orders beyond it are refused (-205), and quotes then pause",
    )


def _position(cfg: AppConfig, held: Position) -> CheckResult:
    unit, limit = cfg.exchange.instrument(), cfg.strategy.max_inventory_btc
    average = f" at {unit.price(1) * held.basis / held.size:,.0f}" if held.size else ""
    return position_finding(unit.size(held.size), unit, limit, "strategy.max_inventory_btc", average=average)


def _limits(cfg: AppConfig, http: BitflyerHttp, clock: Clock) -> CheckResult:
    reading = http.limits.get(LimitName.PRIVATE)
    if reading is None:
        return ok("rate limits", "the venue tells none; ours count by themselves")
    left_s = max(0, reading.reset_ns - clock.now_ns()) // NS_PER_S
    text = f"{reading.remaining} private calls left for the next {left_s} s"
    needed = cfg.exchange.limits.reserve_private + _CALLS_OF_A_STRIKE
    if reading.remaining < needed:
        return warning(
            "rate limits",
            f"{text}; trading wants {needed}",
            "another program uses the account's limits; stop it, or wait",
        )
    return ok("rate limits", text)
