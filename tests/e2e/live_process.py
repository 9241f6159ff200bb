"""``run_live`` as a process of its own, on an exchange in the test's process that can be watched and harmed.

Whatever a process says or writes is searched for its key and secret when it has ended: no test need ask for that.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.sim.bitflyer.keys import ApiKey
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_S
from tests.e2e.commands import REPO, TIMEOUT_S, app_log
from tests.e2e.forked import Forked
from tests.live.rig import OPEN_ALL_DAY, LiveRoom, live_config

KEY = ApiKey(key="CANARY-key-of-tests", secret="CANARY-secret-of-tests")
ORDER_CALLS = ("sendchildorder", "cancelchildorder", "cancelallchildorders", "sendparentorder")


class Place:
    """An exchange, and a folder in which processes run."""

    def __init__(self, folder: Path, room: LiveRoom) -> None:
        self.folder, self.room = folder, room
        self.processes: list[Forked] = []

    @property
    def exchange(self) -> BitflyerExchange:
        return self.room.exchange

    @property
    def flags(self) -> list[str]:
        """Flags of every command: this exchange, and nothing outside the folder."""
        return [
            *("--base", str(REPO / "configs/base.yml"), "--config", str(REPO / "configs/live.yml")),
            *("--set", f"exchange.base_url={self.exchange.base_url}"),
            *("--set", f"exchange.ws_url={self.exchange.ws_url}"),
            *("--set", f"journal.dir={self.folder / 'journal'}", "--set", "watch.min_free_disk_mb=1"),
            *("--set", "session.quiet=[]"),
        ]

    def live_flags(self, *more: str) -> list[str]:
        return [*self.flags, "--log-dir", str(self.folder / "logs"), "--yes", *more]

    def start(self, command: str, *args: str, key: ApiKey | None = KEY, stdin: int = subprocess.DEVNULL) -> Forked:
        """Start a command in the folder, with a key in its environment or without one."""
        process = Forked(command, *args, cwd=self.folder, env=environment(self.folder, key), stdin=stdin)
        self.processes.append(process)
        return process

    async def ended(self, process: Forked, *secrets: str) -> tuple[int, str, str]:
        """Exit code and words of a process, none of which is a secret."""
        out, err = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
        assert "Traceback" not in out + err
        for secret in (KEY.key, KEY.secret, *secrets):
            assert secret not in out + err
            assert shown_in(self.folder, secret) == []
        return process.wait(), out, err

    async def run(self, command: str, *args: str, key: ApiKey | None = KEY) -> tuple[int, str, str]:
        secrets = () if key is None else (key.secret,)
        return await self.ended(self.start(command, *args, key=key), *secrets)

    async def until(self, what: str, condition: Callable[[], object], process: Forked) -> None:
        """Wait for something at the exchange while a process runs."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not condition():
                    if process.poll() is not None:
                        raise AssertionError(f"ended with {process.returncode} before {what}: {process.communicate()}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"no {what} within {TIMEOUT_S:g} s") from None

    async def until_gone(self) -> None:
        """Wait until none of our orders is at the exchange."""
        async with asyncio.timeout(TIMEOUT_S):
            while self.room.venue.accounts["main"].live:  # noqa: ASYNC110 - the venue tells nobody in this process
                await asyncio.sleep(0.05)

    # --- the exchange

    @property
    def sent(self) -> list[str]:
        """Calls that send or cancel."""
        return [call.what for call in self.exchange.audit.records() if call.what.endswith(ORDER_CALLS)]

    @property
    def resting(self) -> list[str]:
        live = self.room.venue.accounts["main"].live.values()
        return [order.acceptance_id for order in live if order.state.value == "ACTIVE"]

    def app_log(self) -> str:
        return app_log(self.folder / "logs")


def placed(there: Place) -> int:
    """How many orders were sent to the exchange."""
    return sum("sendchildorder" in call for call in there.sent)


def environment(folder: Path, key: ApiKey | None) -> dict[str, str]:
    """That of a user with this key, on a machine where nobody else trades."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("BITFLYER_")}
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    env |= {"PYTHONPATH": str(REPO / "src"), "HOME": str(folder), "TMPDIR": str(temporary), "COLUMNS": "120"}
    env["PYTHONUNBUFFERED"] = "1"
    if key is not None:
        env |= {"BITFLYER_API_KEY": key.key, "BITFLYER_API_SECRET": key.secret}
    return env


def shown_in(folder: Path, secret: str) -> list[Path]:
    """Files that hold a secret, whatever they are."""
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


@asynccontextmanager
async def place(folder: Path, *, key: ApiKey = KEY) -> AsyncIterator[Place]:
    """An exchange at real speed, whose next board snapshot is near. What still runs at the end is killed."""
    clock = ScaledClock(1.0)
    market = Market(seed=7, start_ns=clock.now_ns() - 5 * NS_PER_S // 2)
    venue = PrivateVenue(market, [key], PrivateSettings(seed=7, calendar=OPEN_ALL_DAY))
    async with BitflyerExchange(market, clock=clock, private=venue) as exchange:
        there = Place(folder, LiveRoom(folder, clock, venue, exchange, live_config(exchange, folder)))
        try:
            yield there
        finally:
            for process in there.processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    await asyncio.to_thread(process.communicate)
