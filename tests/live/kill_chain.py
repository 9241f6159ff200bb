"""One account, one journal, a daemon that is killed again and again: the real command as a process.

The exchange lives in the test's process, at the pace of real time, and goes on while the daemon is dead. The kills are
drawn from a seed; most are aimed at what cannot be taken back: a send or a cancel on its way, a fill just made.
``make kills`` runs many.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED
from stall_then_strike.config.products import InstrumentConfig
from stall_then_strike.infra.bitflyer.credentials import KEY_VARIABLE, SECRET_VARIABLE
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.sim.bitflyer import publisher
from stall_then_strike.sim.bitflyer.keys import ApiKey
from stall_then_strike.sim.bitflyer.limits import Limits
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.request_log import Audit
from stall_then_strike.sim.faults.kinds import Fault, FaultKind, FaultPlan
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.instrument import fx_btc_jpy
from stall_then_strike.venues.embedded_bitflyer import open_accounts, open_markets, source_of
from tests.e2e.forked import Forked
from tests.live.chaos import LIFE_S
from tests.live.rig import OPEN_ALL_DAY, TWO, LiveRoom, live_config
from tests.live.witness import SEND, Witness, to_all

CANCEL = "POST /v1/me/cancelchildorder"
PATIENCE_S = 8.0
"""How long after its login a kill waits for its moment. A daemon that is in doubt about an order of an earlier life
does not trade for a minute, and is killed in that state then."""
START_S = 180.0
"""Real seconds from a life's start to its login: a busy machine needs many for the imports alone."""
LAST_S = 240.0
"""An order in doubt is dead a minute after the minute that it may live, which the next look tells: one a minute."""
QUIET_S = 10.0
WIDE = Limits(private_calls=10_000, order_calls=10_000, small_orders=10_000)
WIDE_LIMITS = {"private_per_5min": 10_000, "orders_per_5min": 10_000, "small_orders_per_min": 10_000}
"""Twenty starts within the venue's five minutes leave little to trade with."""
LOST_ANSWERS = FaultPlan((Fault(kind=FaultKind.LOSE_ANSWER, path="/v1/me/sendchildorder", chance=0.2),))
STRATEGY = {"max_inventory_btc": Decimal("0.004")}
ACCOUNT = {"vanish_sec": Decimal(1)}
PYBOTTERS = {"timeout_sec": Decimal(2)}


class KillChain:
    """Lives of a daemon on one exchange."""

    login, send, cancel = "auth", SEND, CANCEL
    """What the exchange's audit calls them."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        faults: FaultPlan | None = None,
        *,
        has_real_limits: bool = False,
        instruments: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.instruments = instruments
        """Those of the account, if it trades several."""
        self.folder, self.seed, self.faults, self.has_real_limits = folder, seed, faults, has_real_limits
        self.key = ApiKey(key=f"key-of-chain-{seed}", secret="made-up-for-tests")
        self.chance = Random(f"kills {seed}")
        self.moments: Counter[str] = Counter()
        self.missed = 0
        self.unborn = 0
        """Kills whose moment did not come in time."""
        self.fills = 0

    async def run(self, kills: int) -> None:
        """Kill so often, then let it trade and stop it; raise AssertionError for what must not be."""
        clock = SystemClock()
        units = [InstrumentConfig.model_validate(one).instrument() for one in self.instruments] or [fx_btc_jpy()]
        markets = open_markets(units, self.seed, clock.now_ns())
        limits = Limits() if self.has_real_limits else WIDE
        settings = PrivateSettings(seed=self.seed, calendar=OPEN_ALL_DAY, limits=limits)
        venue = open_accounts(markets, [self.key], settings)
        venues = list(venue.products.values())
        witnesses = [Witness(number) for number in range(len(units))]
        audit = Audit(sink=to_all([witness.on_received for witness in witnesses]))
        async with BitflyerExchange(
            source_of(markets),
            clock=clock,
            private=venue,
            audit=audit,
            faults=self.faults,
            ip_limit=500 if self.has_real_limits else None,
        ) as exchange:
            sections = {"strategy": STRATEGY, "account": ACCOUNT, "pybotters": PYBOTTERS}
            cfg = live_config(exchange, self.folder, instruments=self.instruments, **sections)
            room = LiveRoom(self.folder, clock, venue, exchange, cfg)
            for witness in witnesses:
                witness.enter(room)
            for number in range(kills):
                await self._kill(room, number)
                self._look(room)
            await self._live_on(room, kills)
            while any(one.accounts["main"].live for one in venues):
                await room.pass_time(0.1)
            room.check()
            self.fills = sum(len(one.ledger().fills) for one in venues)
            widest = units[0].to_lots(cfg.strategy.max_inventory_btc)
            assert max(witness.widest for witness in witnesses) <= widest
            assert max(one.desk.counters.longest_life_ns for one in venues) <= LIFE_S * NS_PER_S
            assert not exchange.http_refused, "calls over a limit"

    # --- a life

    def _start(self, room: LiveRoom, number: int) -> Forked:
        cfg = room.cfg
        sets: Mapping[str, object] = {
            "exchange.base_url": cfg.exchange.base_url,
            "exchange.ws_url": cfg.exchange.ws_url,
            "journal.dir": cfg.journal.dir,
            "pybotters.timeout_sec": cfg.pybotters.timeout_sec,
            "ws.reconnect_min_sec": cfg.ws.reconnect_min_sec,
            "risk.daily_pnl_jpy": cfg.risk.daily_pnl_jpy,
            "risk.max_dd_jpy": cfg.risk.max_dd_jpy,
            "strategy.max_inventory_btc": cfg.strategy.max_inventory_btc,
            "account.vanish_sec": cfg.account.vanish_sec,
        }
        if not self.has_real_limits:
            sets = {**sets, **{f"exchange.limits.{name}": count for name, count in WIDE_LIMITS.items()}}
        if self.instruments:
            sets = {**sets, "instruments": json.dumps(self.instruments, default=float)}
        flags = [part for name, value in sets.items() for part in ("--set", f"{name}={value}")]
        with (self.folder / f"life-{number}.txt").open("w") as out:
            return Forked(
                *("run_live", "--yes", "--log-dir", str(room.logs), *flags),
                stdout=out.fileno(),
                stderr=out.fileno(),
                env={**os.environ, KEY_VARIABLE: self.key.key, SECRET_VARIABLE: self.key.secret},
            )

    async def _kill(self, room: LiveRoom, number: int) -> None:
        """One life and its sudden end."""
        draw = self.chance
        moment = draw.choices(("start", "send", "cancel", "fill", "later"), (10, 45, 15, 20, 10))[0]
        delay_s = {
            "start": draw.uniform(0.3, 2.5),
            "send": draw.choice((0.0, draw.uniform(0.0, 0.02), draw.uniform(0.02, 0.12))),
            "cancel": draw.uniform(0.0, 0.1),
            "fill": draw.uniform(0.0, 0.1),
            "later": draw.uniform(0.1, 2.0),
        }[moment]
        counts = room.exchange.audit.counts
        count: Callable[[], int] = {
            "start": lambda: 1 << 30,
            "cancel": lambda: counts[self.cancel],
            "fill": lambda: self._fills(room),
        }.get(moment, lambda: counts[self.send])
        target = 0 if moment == "start" else count() + draw.choice((1, 1, 2, 3, 5))
        self.moments[moment] += 1
        logins = counts[self.login]
        process = self._start(room, number)
        try:
            if moment != "start":
                async with asyncio.timeout(START_S):
                    await _passes(lambda: counts[self.login] > logins or process.returncode is not None)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await _passes(lambda: count() >= target or process.returncode is not None)
            except TimeoutError:
                self.missed += 1
            await asyncio.sleep(delay_s)
            if process.returncode is not None:
                self._forgive(number, process.returncode)
        finally:
            if process.returncode is None:
                process.kill()
            await asyncio.to_thread(process.wait)

    def _fills(self, room: LiveRoom) -> int:
        return sum(len(one.accounts["main"].ledger.fills) for one in room.venue.products.values())

    def _forgive(self, number: int, code: int) -> None:
        """A machine that stands still keeps answers from the pre-flight: such a start is for a supervisor to repeat."""
        said = (self.folder / f"life-{number}.txt").read_text()
        is_unborn = code == EXIT_FAILED and "fault" in said and "Traceback" not in said
        self.unborn += is_unborn
        assert is_unborn, f"life {number} ended by itself: exit {code}\n{said}"
        assert self.unborn == 1, f"life {number} did not start either\n{said}"

    def _look(self, room: LiveRoom) -> None:
        """As an operator would: the journal can be read, and nobody holds it."""
        path = journal_path(room.cfg.journal.dir, room.cfg.exchange.product_code)
        if path.exists():
            with JournalReader.open(path) as reader:
                assert reader.info().held_by is None

    def _in_doubt(self, room: LiveRoom, born_ns: int) -> bool:
        """Whether an order of an earlier life is not known to have ended."""
        with JournalReader.open(journal_path(room.cfg.journal.dir, room.cfg.exchange.product_code)) as reader:
            return any(order.sent_ns < born_ns for order in reader.live_orders())

    async def _live_on(self, room: LiveRoom, number: int) -> None:
        """The last life: it trades, and is stopped in good order."""
        counts, born_ns = room.exchange.audit.counts, room.clock.now_ns()
        process = self._start(room, number)
        try:
            target = counts[self.send] + 4
            async with asyncio.timeout(LAST_S):
                if self.has_real_limits:
                    await room.pass_time(QUIET_S)
                else:
                    await _passes(lambda: counts[self.send] >= target or process.returncode is not None)
                # It quotes beside an order in doubt; an end with one is not confirmed, and says so.
                await _passes(lambda: not self._in_doubt(room, born_ns) or process.returncode is not None, every_s=0.5)
                assert process.returncode is None, f"the last life ended by itself: exit {process.returncode}"
                process.send_signal(signal.SIGTERM)
                code = await asyncio.to_thread(process.wait)
                assert code == EXIT_DONE, f"the last life ended with exit code {code}"
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.to_thread(process.wait)


async def _passes(condition: Callable[[], bool], *, every_s: float = 0.002) -> None:
    """Wait for something in another process, or of the exchange, to come true; soon enough to hit a call under way."""
    while True:
        if condition():
            return
        await asyncio.sleep(every_s)


async def run_chains(folder: Path, *, chains: int, kills: int, instruments: Sequence[Mapping[str, Any]] = ()) -> str:
    """So many accounts at once, each killed so often; what came of them. Raises AssertionError for what must not be.

    Of five accounts one has the venue's real limits, and one loses a share of the answers to its sends.
    """
    all_ = [
        KillChain(
            folder / str(seed),
            seed,
            LOST_ANSWERS if seed % 5 == 4 else None,
            has_real_limits=seed % 5 == 0,
            instruments=instruments,
        )
        for seed in range(chains)
    ]
    for chain in all_:
        chain.folder.mkdir()

    async def run(chain: KillChain) -> None:
        try:
            await chain.run(kills)
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"seed {chain.seed}, {chain.folder}: {error}") from error

    with pytest.MonkeyPatch.context() as patch:
        # A daemon cannot trade before the first snapshot, and five seconds of waiting in each life prove nothing.
        patch.setattr(publisher, "_SNAPSHOT_NS", NS_PER_S)
        async with asyncio.TaskGroup() as tasks:
            for chain in all_:
                tasks.create_task(run(chain))
    told = "\n".join(f"seed {c.seed}: {c.fills} fills, {c.missed} missed, {dict(c.moments)}" for c in all_)
    assert sum(chain.fills for chain in all_) > chains * kills // 2, told
    assert sum(chain.missed for chain in all_) < chains * kills // 2, f"too few kills met their moment: {told}"
    return told


def main() -> None:
    """Run the long version and print what came of each account."""
    flags = argparse.ArgumentParser(
        prog="python -m tests.live.kill_chain", description="The live daemon under kill -9."
    )
    flags.add_argument("--chains", type=int, default=10, help="accounts at once (default: %(default)s)")
    flags.add_argument("--kills", type=int, default=20, help="kills of each (default: %(default)s)")
    flags.add_argument("--instruments", type=int, choices=(1, 2), default=1, help="traded at once (default: 1)")
    args = flags.parse_args()
    traded = TWO if args.instruments == 2 else ()
    folder = Path(mkdtemp(prefix="kills-"))
    told = asyncio.run(run_chains(folder, chains=args.chains, kills=args.kills, instruments=traded))
    sys.stdout.write(f"{told}\n{args.chains * args.kills} kills: nothing lost, nothing counted twice\n")


if __name__ == "__main__":
    main()
