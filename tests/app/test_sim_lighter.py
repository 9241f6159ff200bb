"""The command `sim_lighter`: what it refuses, in this process; tests/e2e runs it."""

from __future__ import annotations

from stall_then_strike.app.sim_lighter import parser
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.sim.lighter_server import LighterExchange
from tests.sim.exchange_rig import START_NS


def test_by_default_all_markets_are_open_on_the_standard_plan() -> None:
    args = parser().parse_args([])
    assert [market.symbol for market in args.markets] == ["ETH", "BTC", "SOL", "DOGE", "HYPE"]
    assert (args.plan, args.port, args.seed, args.speed) == ("standard", 0, 1, 1.0)


def test_the_same_seed_gives_the_same_key() -> None:
    first, again, other = (LighterExchange(clock=VirtualClock(START_NS), seed=n).add_account() for n in (7, 7, 8))
    assert first == again != other
