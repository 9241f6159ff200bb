"""``record`` on Lighter: a connection for each market, without keys, against the exchange on loopback."""

from __future__ import annotations

from pathlib import Path

from stall_then_strike.app.shell.cli import DEFAULTS
from stall_then_strike.config.loader import app_config, read_layers
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS
from stall_then_strike.sim.lighter_server import LighterExchange
from stall_then_strike.tapes.recorder import Product, Recorder
from stall_then_strike.tapes.tape_tools import audit_tape, faults_of
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.venues.lighter_units import with_units
from tests.live.pace import steady_clock


async def test_each_market_is_recorded_and_nothing_of_an_account(tmp_path: Path) -> None:
    markets = [market for market in MARKETS if market.symbol in ("ETH", "SOL")]
    async with (
        steady_clock(4.0) as clock,
        LighterExchange(clock=clock, markets=markets, seed=3, has_crowd=True) as exchange,
    ):
        settings = app_config(with_units(read_layers(DEFAULTS / "base.yml", DEFAULTS / "lighter-sim.yml")))
        cfg = settings.at(exchange.base_url, exchange.ws_url)
        async with Recorder(cfg, [Product("ETH"), Product("SOL")], tmp_path, clock) as recorder:
            await recorder.wait_ready(30)
            await clock.sleep_until(clock.now_ns() + 8 * NS_PER_S)
            states = recorder.states()
            recorder.stop("done")
    assert [(state.product, state.is_connected, state.has_book, state.lost) for state in states] == [
        ("ETH", True, True, 0),
        ("SOL", True, True, 0),
    ]
    check(tmp_path)


def check(folder: Path) -> None:
    tapes = sorted(folder.glob("*.jsonl.zst"))
    assert [path.name.partition("-")[0] for path in tapes] == ["ETH", "SOL"]
    for path in tapes:
        audited = audit_tape(path)
        assert [fault for fault in faults_of(audited) if "no executions" not in fault] == []
        assert audited.audit.channels.keys() == {
            f"{kind}:{0 if 'ETH' in path.name else 2}" for kind in ("market_stats", "order_book", "trade")
        } | ({"(other)"} & audited.audit.channels.keys())
