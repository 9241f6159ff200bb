"""A trader on Lighter that is killed again and again: the real command as a process, at the pace of real time.

`python -m tests.lighter.trader_kills` kills many.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.lighter.signing.account_keys import ACCOUNT_VARIABLE, KEY_VARIABLE, PRIVATE_KEY_VARIABLE
from tests.e2e.forked import Forked
from tests.lighter.trader_chaos import Watch
from tests.lighter.trader_rig import PREMIUM, SYMBOLS, TradingRoom, trading_room
from tests.live.kill_chain import KillChain

UNLIMITED = replace(PREMIUM, limits_calls=False)
"""Ten starts within a minute ask more than the venue answers."""


class LighterKills(KillChain):
    """Lives of a trader on one account, with two markets."""

    login, send, cancel = "subscribe", "jsonapi/sendtxbatch", "jsonapi/sendtxbatch"

    async def run(self, kills: int) -> None:
        """Kill so often, then let it trade and stop it. Raises AssertionError for what must not be."""
        clock, faults = SystemClock(), self.faults
        async with trading_room(self.folder, clock=clock, seed=self.seed, settings=UNLIMITED, faults=faults) as room:
            watches = [Watch(number) for number in range(len(SYMBOLS))]
            for watch in watches:
                watch.enter_venue(room)
            lives: Any = room
            for number in range(kills):
                await self._kill(lives, number)
                self._look(lives)
            await self._live_on(lives, kills)
            room.check()
            for watch in watches:
                watch.judge()
            self.fills = len(room.books.trades)

    def _fills(self, room: Any) -> int:
        return len(room.books.trades)

    def _start(self, room: Any, number: int) -> Forked:
        config = self.folder / "trader.yml"
        config.write_text(json.dumps(_settings(room)), encoding="utf-8")
        owner = room.account
        env = {
            **os.environ,
            "XDG_CACHE_HOME": str(self.folder),
            ACCOUNT_VARIABLE: str(owner.account_index),
            KEY_VARIABLE: str(owner.api_key_index),
            PRIVATE_KEY_VARIABLE: str.__str__(owner.private_key),
        }
        flags = ("--yes", "--config", str(config), "--log-dir", str(room.logs))
        with (self.folder / f"life-{number}.txt").open("w") as out:
            return Forked("run_live", *flags, stdout=out.fileno(), stderr=out.fileno(), env=env)


def _settings(room: TradingRoom) -> dict[str, Any]:
    """The room's settings as a file: JSON is YAML, too."""
    cfg = room.cfg
    return {
        "env": "live",
        "exchange": {
            "name": "lighter",
            "plan": cfg.exchange.plan,
            "base_url": cfg.exchange.base_url,
            "ws_url": cfg.exchange.ws_url,
        },
        "instruments": [
            {
                "product_code": f"{one.product_code}-USDC",
                "strategy": {
                    "size_min": float(one.strategy.size_min),
                    "max_inventory": float(one.strategy.max_inventory_btc),
                },
            }
            for one in cfg.instruments
        ],
        "strategy": {"stall_T_ms": 250, "ttl_ms": 800, "max_reverse_ticks": 40, "stale_ms": 3_000, "quote_mode": "mid"},
        "pybotters": {"timeout_sec": 10},
        "journal": {"dir": cfg.journal.dir},
        "risk": {"daily_pnl": -100_000, "max_drawdown": -100_000},
        "account": {"reconcile_sec": 10},
    }


def main() -> int:
    """Kill, and print what came of it; 1 if anything did not hold."""
    flags = argparse.ArgumentParser(prog="python -m tests.lighter.trader_kills", description="The trader, killed.")
    flags.add_argument("--seeds", type=int, default=3, help="accounts, one after the other (default: %(default)s)")
    flags.add_argument("--first", type=int, default=0, help="seed of the first one (default: %(default)s)")
    flags.add_argument("--kills", type=int, default=10, help="kills of each (default: %(default)s)")
    args = flags.parse_args()
    folder, wrong = Path(mkdtemp(prefix="lighter-kills-")), 0
    for seed in range(args.first, args.first + args.seeds):
        place = folder / str(seed)
        place.mkdir()
        chain = LighterKills(place, seed)
        said = "held"
        try:
            asyncio.run(chain.run(args.kills))
        except (AssertionError, TimeoutError) as error:
            said, wrong = f"WRONG, {place}: {type(error).__name__}: {error}", wrong + 1
        moments = dict(chain.moments)
        sys.stdout.write(f"seed {seed}: {chain.fills} fills, {chain.missed} missed, {moments}: {said}\n")
        sys.stdout.flush()
    told = f"{wrong} of {args.seeds} chains WRONG" if wrong else "nothing lost, nothing counted twice"
    sys.stdout.write(f"{args.seeds * args.kills} kills: {told}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
