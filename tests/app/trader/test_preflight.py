"""Findings before live trading, each brought about at the embedded exchange or on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.app.trader.preflight import preflight
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import ScaledClock, SystemClock
from stall_then_strike.infra.journal.writer import Journal, journal_path
from stall_then_strike.sim.bitflyer.desk import Delays
from stall_then_strike.sim.bitflyer.keys import PERMISSIONS, ApiKey
from stall_then_strike.sim.bitflyer.limits import Limits
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer.tickets import read_ticket
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_S, BoardState, Changes, CoreMemo, Health, InventoryMemo, Reason, Side
from stall_then_strike.types.instrument import Lots
from stall_then_strike.venues.bitflyer_checks import NEEDED_PERMISSIONS
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection
from stall_then_strike.venues.findings import CheckResult, Verdict, exit_code, fault, ok, warning
from tests.infra.journal.journal_rig import memo
from tests.other_user import reachable_folder, restricted
from tests.signing import SIGNED
from tests.sim.private_rig import BID, KEY, NO_CALENDAR, OTHER, QUIET, order

pytestmark = SIGNED
# pybotters 1.x hands its `auth` to aiohttp in a way that aiohttp 3.14 warns of.

AT_ONCE = Delays(registration=(0, 0), late_share=0, listing=(0, 0))


def config(base_url: str, folder: Path, **sections: Mapping[str, Any]) -> AppConfig:
    tree: dict[str, Any] = {
        "env": "live",
        "exchange": {"base_url": base_url, "ws_url": base_url.replace("http", "ws")},
        "journal": {"dir": str(folder / "journal")},
        "watch": {"min_free_disk_mb": 1},
    }
    for name, keys in sections.items():
        tree[name] = {**tree.get(name, {}), **keys}
    return AppConfig.model_validate(tree)


@dataclass
class Place:
    """An exchange, and preflights against it."""

    private: PrivateVenue
    exchange: BitflyerExchange
    folder: Path
    key: ApiKey

    async def check(self, *, clock: ScaledClock | None = None, **sections: Mapping[str, Any]) -> dict[str, CheckResult]:
        """All findings by name, after making sure that none was made by sending anything."""
        cfg = config(self.exchange.base_url, self.folder, **sections)
        pair = Credentials(key=self.key.key, secret=self.key.secret, source="environment")
        time = SystemClock() if clock is None else clock
        async with BitflyerConnection(cfg, time, pair) as connection:
            results = await preflight(cfg, pair, connection, time, self.folder / "logs")
        assert not any(record.what.startswith("POST") for record in self.exchange.audit.records())
        assert len({result.name for result in results}) == len(results)
        assert all(bool(result.exit_code) == (result.verdict is Verdict.FAULT) for result in results)
        assert all(result.advice for result in results if result.verdict is not Verdict.OK)
        return {result.name: result for result in results}


@pytest.fixture
def place_of(tmp_path: Path) -> Any:
    @asynccontextmanager
    async def make(key: ApiKey = KEY, **settings: Any) -> AsyncIterator[Place]:
        clock = SystemClock()
        private = PrivateVenue(
            Market(seed=1, start_ns=clock.now_ns(), model=QUIET),
            [key],
            PrivateSettings(calendar=NO_CALENDAR, delays=AT_ONCE, **settings),
        )
        async with BitflyerExchange(private.market, clock=clock, private=private) as exchange:
            yield Place(private, exchange, tmp_path, key)

    return make


def place_order(place: Place, fields: dict[str, Any]) -> None:
    """Put an order on the book past HTTP."""
    market = place.private.market
    account = place.private.accounts["main"]
    numbers = {name: Decimal(str(value)) if isinstance(value, float) else value for name, value in fields.items()}
    place.private.desk.place(market.now_ns, account, read_ticket(numbers, market.instrument))
    market.advance(market.now_ns + 1)


async def test_all_is_well_at_a_healthy_venue(place_of: Any) -> None:
    async with place_of() as place:
        found = await place.check()
    assert {result.verdict for result in found.values()} == {Verdict.OK}
    assert list(found) == [
        "credentials",
        "address",
        "venue",
        "clock",
        "api key",
        "permissions",
        "collateral",
        "margin",
        "open orders",
        "position",
        "rate limits",
        "log folder",
        "journal",
        "disk space",
    ]
    assert found["collateral"].text == "1,000,000 JPY"
    assert not (place.folder / "logs").exists()


async def test_missing_permissions_are_all_named(place_of: Any) -> None:
    some = frozenset(PERMISSIONS) - {"/v1/me/sendchildorder", "/v1/me/getpositions"}
    async with place_of(ApiKey(key="weak", secret="s", permissions=some)) as place:
        found = await place.check()
    assert found["permissions"].text == "missing: sendchildorder, getpositions"
    assert found["permissions"].exit_code == 2
    assert "position" not in found
    assert found["open orders"].verdict is Verdict.OK


async def test_key_that_can_move_funds_is_warned_of(place_of: Any) -> None:
    strong = ApiKey(key="strong", secret="s", permissions=frozenset({*PERMISSIONS, "/v1/me/withdraw"}))
    async with place_of(strong) as place:
        found = await place.check()
    assert (found["permissions"].verdict, "withdraw" in found["permissions"].text) == (Verdict.WARNING, True)


def test_every_needed_permission_is_known_to_the_exchange() -> None:
    assert set(NEEDED_PERMISSIONS) <= set(PERMISSIONS)


async def test_refused_key_ends_the_questions_and_is_the_operators_fault(place_of: Any) -> None:
    async with place_of() as place:
        place.key = ApiKey(key=KEY.key, secret="another")
        found = await place.check()
    assert found["api key"].exit_code == 2
    assert "permissions" not in found
    assert found["disk space"].verdict is Verdict.OK


@pytest.mark.parametrize(
    ("state", "health", "verdict"),
    [
        (BoardState.CLOSED, Health.NORMAL, Verdict.FAULT),
        (BoardState.PREOPEN, Health.NORMAL, Verdict.FAULT),
        (BoardState.CIRCUIT_BREAK, Health.NORMAL, Verdict.FAULT),
        (BoardState.RUNNING, Health.STOP, Verdict.FAULT),
        (BoardState.RUNNING, Health.NO_ORDER, Verdict.FAULT),
        (BoardState.RUNNING, Health.SUPER_BUSY, Verdict.WARNING),
        (BoardState.RUNNING, Health.BUSY, Verdict.OK),
    ],
)
async def test_board_and_health_decide(place_of: Any, state: BoardState, health: Health, verdict: Verdict) -> None:
    async with place_of() as place:
        place.exchange.set_condition(state=state, health=health)
        found = await place.check()
    assert (found["venue"].verdict, found["venue"].exit_code) == (verdict, 1 if verdict is Verdict.FAULT else 0)
    assert found["venue"].text == f"board {state.value}, health {health.value}"


@pytest.mark.parametrize(
    ("off_s", "verdict", "words"),
    [
        (0, Verdict.OK, "within"),
        (20, Verdict.FAULT, "s ahead of the venue's; risk.max_clock_skew_sec is 3"),
        (-20, Verdict.FAULT, "s behind the venue's; risk.max_clock_skew_sec is 3"),
    ],
)
async def test_clock_that_is_off_is_a_fault(place_of: Any, off_s: int, verdict: Verdict, words: str) -> None:
    async with place_of() as place:
        found = await place.check(clock=ScaledClock(1.0, SystemClock().now_ns() + off_s * NS_PER_S))
    assert (found["clock"].verdict, found["clock"].exit_code) == (verdict, 1 if verdict is Verdict.FAULT else 0)
    assert words in found["clock"].text


async def test_clock_within_a_wider_limit_is_warned_of(place_of: Any) -> None:
    async with place_of() as place:
        found = await place.check(
            clock=ScaledClock(1.0, SystemClock().now_ns() + 40 * NS_PER_S), risk={"max_clock_skew_sec": Decimal(60)}
        )
    assert found["clock"].verdict is Verdict.WARNING


@pytest.mark.parametrize(("policy", "words"), [("report", "left alone"), ("cancel", "will be cancelled")])
async def test_open_orders_are_warned_of(place_of: Any, policy: str, words: str) -> None:
    async with place_of() as place:
        place_order(place, order(price=BID))
        place_order(place, order(price=BID - 1))
        found = await place.check(account={"foreign_orders": policy})
    assert (found["open orders"].verdict, found["open orders"].text) == (Verdict.WARNING, "2 orders are open")
    assert words in found["open orders"].advice


@pytest.mark.parametrize(("limit", "verdict"), [("0.03", Verdict.OK), ("0.02", Verdict.WARNING)])
async def test_position_is_told_and_one_over_the_limit_warned_of(place_of: Any, limit: str, verdict: Verdict) -> None:
    async with place_of() as place:
        place_order(place, order(price=BID + 5, size=0.03))
        market = place.private.market
        market.submit(market.now_ns, owner=OTHER, side=Side.SELL, size=Lots(3_000_000))
        found = await place.check(strategy={"max_inventory_btc": Decimal(limit)})
    assert found["position"].text.startswith("long 0.03 BTC at 9,999,005")
    assert found["position"].verdict is verdict
    assert "keep rate" in found["collateral"].text


async def test_account_without_collateral_cannot_trade(place_of: Any) -> None:
    async with place_of(collateral_jpy=Decimal(0)) as place:
        found = await place.check()
    assert (found["collateral"].verdict, found["collateral"].text) == (Verdict.FAULT, "0 JPY")


async def test_limits_that_are_nearly_used_up_are_warned_of(place_of: Any) -> None:
    async with place_of(limits=Limits(private_calls=60)) as place:
        found = await place.check()
    assert found["rate limits"].verdict is Verdict.WARNING
    assert found["rate limits"].text.startswith("56 private calls left for the next ")
    assert "trading wants 64" in found["rate limits"].text


async def test_limit_that_is_used_up_is_a_fault(place_of: Any) -> None:
    async with place_of(limits=Limits(private_calls=2)) as place:
        found = await place.check()
    assert found["open orders"].exit_code == 1
    assert "another program" in found["open orders"].advice


async def test_venue_that_is_gone_ends_the_questions(place_of: Any) -> None:
    async with place_of() as place:
        pass
    found = await place.check()
    assert (found["venue"].verdict, found["venue"].exit_code) == (Verdict.FAULT, 1)
    assert "connection refused" in found["venue"].text
    assert not {"clock", "api key"} & set(found)


@pytest.mark.parametrize("key", ["base_url", "ws_url"])
@pytest.mark.parametrize("host", ["example.com", "api.bitflyer.com", "192.168.0.1"])
async def test_keys_go_to_the_venue_over_tls_or_nowhere(place_of: Any, key: str, host: str) -> None:
    async with place_of() as place:
        address = f"{'http' if key == 'base_url' else 'ws'}://{host}"
        cfg_of = {"base_url": place.exchange.base_url, "ws_url": place.exchange.ws_url, key: address}
        calls = place.exchange.http_requests
        found = await place.check(exchange=cfg_of)
        assert place.exchange.http_requests == calls
    assert (found["address"].verdict, found["address"].exit_code) == (Verdict.FAULT, 2)
    assert f"exchange.{key}" in found["address"].text
    assert "venue" not in found


def test_folders_and_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cfg = config("http://127.0.0.1:1", tmp_path, journal={"dir": str(tmp_path / "file" / "x")})
    cfg = cfg.model_copy(update={"watch": cfg.watch.model_copy(update={"min_free_disk_mb": 10**12})})
    found = {r.name: r for r in asyncio.run(preflight(cfg, None, None, SystemClock(), tmp_path / "a" / "b"))}
    assert list(found) == ["log folder", "journal", "disk space"]
    assert (found["log folder"].verdict, found["log folder"].text) == (Verdict.OK, f"{tmp_path}/a/b, will be made")
    assert (found["journal"].verdict, found["journal"].exit_code) == (Verdict.FAULT, 1)
    assert "Not a directory" in found["journal"].text
    assert (found["disk space"].verdict, found["disk space"].exit_code) == (Verdict.FAULT, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_exit_code_is_that_of_what_the_operator_must_mend_first() -> None:
    assert exit_code([]) == 0
    assert exit_code([ok("a", "x"), warning("b", "x", "y")]) == 0
    assert exit_code([fault("a", "x", "y"), ok("b", "x")]) == 1
    assert exit_code([fault("a", "x", "y", exit_code=2), fault("b", "x", "y")]) == 2


@pytest.mark.parametrize(
    ("reason", "then"),
    [
        (Reason.KILL_PNL, "only ends flat"),
        (Reason.POSITION_MISMATCH, "leaves the position to you"),
        (Reason.AUTH_REFUSED, "leaves the position to you"),
    ],
)
async def test_a_halt_in_the_journal_is_told_and_a_foreign_journal_refused(
    tmp_path: Path, reason: Reason, then: str
) -> None:
    """A start would end at once: better to hear it from the doctor."""
    cfg = AppConfig.model_validate({"env": "live", "journal": {"dir": str(tmp_path)}})
    credentials = Credentials(key="k", secret="s")
    path = journal_path(tmp_path, cfg.exchange.product_code)
    inventory = InventoryMemo(
        position=0, basis=0, realised=0, realised_at_roll=0, equity_at_roll=0, peak=0, max_drawdown=0, mid2=0
    )
    memo = CoreMemo(
        ts_ns=1,
        day="2026-01-05",
        inventory=inventory,
        halted=reason,
        halt_ns=1_767_571_200 * NS_PER_S,
        halt_detail="limit",
        pnl_base=0,
        cash_base=None,
        since=None,
    )
    with Journal.open(
        path, product_code=cfg.exchange.product_code, account=credentials.fingerprint, now_ns=1, locks=tmp_path
    ) as journal:
        journal.record(Changes(ts_ns=1, memo=memo))
    found = {result.name: result for result in await preflight(cfg, credentials, None, SystemClock(), tmp_path)}
    assert found["memory"].verdict is Verdict.WARNING
    assert found["memory"].text == f"halted since 2026-01-05T00:00:00Z: {reason.label} (limit)"
    assert then in found["memory"].advice
    assert found["memory"].is_halt is (reason is not Reason.KILL_PNL)  # whose day is over: a start lifts it
    other = Credentials(key="another", secret="s")
    found = {result.name: result for result in await preflight(cfg, other, None, SystemClock(), tmp_path)}
    assert found["memory"].verdict is Verdict.FAULT


async def test_a_pause_that_outlived_its_run_is_told(tmp_path: Path) -> None:
    """The next run begins paused: it would quote nothing, and say so only in the panel."""
    cfg = AppConfig.model_validate({"env": "live", "journal": {"dir": str(tmp_path)}})
    credentials = Credentials(key="k", secret="s")
    with Journal.open(
        journal_path(tmp_path, cfg.exchange.product_code),
        product_code=cfg.exchange.product_code,
        account=credentials.fingerprint,
        now_ns=1,
        locks=tmp_path,
    ) as journal:
        journal.record(Changes(ts_ns=1, memo=memo(paused=Reason.PAUSED)))
    found = {result.name: result for result in await preflight(cfg, credentials, None, SystemClock(), tmp_path)}
    assert (found["memory"].verdict, found["memory"].is_halt) == (Verdict.WARNING, False)
    assert found["memory"].text == "not halted, but paused by the operator"


@pytest.mark.parametrize("is_reached", [True, False])
async def test_journal_of_another_user_is_told(is_reached: bool) -> None:
    """As a start by root leaves it. Files can be made beside it, and the start would fail at the first write."""
    with reachable_folder() as folder:
        (folder / "journal").mkdir()
        cfg = AppConfig.model_validate({"env": "live", "journal": {"dir": str(folder / "journal")}})
        path = journal_path(cfg.journal.dir, cfg.exchange.product_code)
        path.touch()
        with restricted(path, 0o444) if is_reached else restricted(path.parent, 0o000):
            found = {result.name: result for result in await preflight(cfg, None, None, SystemClock(), folder)}
    assert (found["memory"].verdict, found["memory"].text) == (
        Verdict.FAULT,
        f"{path} cannot be written to: Permission denied",
    )


async def test_collateral_that_does_not_carry_the_largest_position_is_named(place_of: Any) -> None:
    """1,000,000 JPY at 10,000,000 and leverage 2 carry 0.2 BTC, which the defaults want."""
    async with place_of(collateral_jpy=Decimal(500_000)) as place:
        found = (await place.check(strategy={"max_inventory_btc": Decimal("0.2")}))["margin"]
        enough = (await place.check(strategy={"max_inventory_btc": Decimal("0.09")}))["margin"]
    assert found.verdict is Verdict.WARNING
    assert "carries 0.1 BTC at 10,000,000" in found.text
    assert "max_inventory_btc 0.2" in found.text
    assert "needs 1,000,000 JPY" in found.text
    assert enough.verdict is Verdict.OK
