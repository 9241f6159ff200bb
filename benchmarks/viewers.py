"""What fifty viewers of the console cost a trader: p99 from board message to decision, watched and unwatched.

Two traders run at the same time on the same market (`run_paper --sim`, ten times as fast as real), each a process of
its own. A console watches one of them, and fifty viewers look at that. Both share the processors with the console and
its viewers, so only the ratio means something. Who is watched changes from round to round. The figures are the traders'
own, of a whole round.

``python -m benchmarks.viewers`` needs the extra `console`; ``--quick`` takes shorter rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from stall_then_strike.app.web.guard import SOCKET

VIEWERS: Final = 50
ROUNDS: Final = 4
TOKEN: Final = "made up for measuring"  # noqa: S105 - good for nothing else
_START_S: Final = 60.0
_STS: Final = Path(sys.executable).with_name("sts")
_CLIENT: Final = re.compile(r"""["']?client_id["']?: ?["']([0-9a-f-]{36})""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """p99 of both, microseconds."""

    watched_us: float
    alone_us: float
    messages: int
    """That a viewer received, on average: they did look."""

    @property
    def ratio(self) -> float:
        """How many times as long the watched one takes."""
        return self.watched_us / self.alone_us


@contextmanager
def process(*words: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A verb of `sts` in a folder, until the block ends."""
    env = {**os.environ, "STS_CONSOLE_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"}
    started = subprocess.Popen(  # noqa: S603 - our own command
        [_STS, *words], cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@contextmanager
def console(folder: Path) -> Iterator[str]:
    """A console of the trader in a folder: its address."""
    with process("console", "--port", "0", folder=folder) as started:
        if started.stdout is None:
            raise AssertionError("its output is captured")
        yield re.sub(r".*?(http://\S+).*", r"\1", started.stdout.readline().strip())


async def _status(folder: Path) -> dict[str, float]:
    """The trader's own figures."""
    words = ("ctl", "status", "--json", "--log-dir", "logs")
    asked = await asyncio.create_subprocess_exec(
        _STS, *words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    out, _ = await asked.communicate()
    latency: dict[str, float] = json.loads(out)["latency"] if asked.returncode == 0 else {}
    return latency


async def _begun(folder: Path) -> None:
    async with asyncio.timeout(_START_S):
        while not (await _status(folder)).get("samples"):  # noqa: ASYNC110 - another process cannot set an event
            await asyncio.sleep(0.5)


class _Viewer:
    """One page that stays open."""

    def __init__(self) -> None:
        self.messages = 0

    async def look(self, session: aiohttp.ClientSession, address: str) -> None:
        """Open the page and its socket, and read until cancelled."""
        async with session.get(f"{address}/") as answer:
            client = _CLIENT.search(await answer.text())
        if client is None:
            raise AssertionError("the page names its client")
        query = {"EIO": "4", "transport": "websocket", "client_id": client[1], "next_message_id": "0"}
        query |= {"implicit_handshake": "true", "tab_id": client[1], "document_id": client[1]}
        async with session.ws_connect(f"{address}{SOCKET}", params=query, headers={"origin": address}) as line:
            async for message in line:
                if message.data[0] == "0":
                    await line.send_str("40")
                elif message.data[0] == "2":
                    await line.send_str("3")
                else:
                    self.messages += 1


async def _round(seconds: float, watched: int) -> Round:
    """Both traders for so many seconds; ``watched`` says which of them is looked at."""
    async with AsyncExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        address = stack.enter_context(console(folders[watched]))
        for folder in folders:
            stack.enter_context(process("run_paper", "--sim", "--speed", "10", "--seed", "7", folder=folder))
        await asyncio.gather(*map(_begun, folders))
        jar = aiohttp.CookieJar(unsafe=True)
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        async with session.post(f"{address}/login", data={"token": TOKEN}, headers={"origin": address}) as answer:
            answer.raise_for_status()
        viewers = [_Viewer() for _ in range(VIEWERS)]
        async with asyncio.TaskGroup() as tasks:
            looking = [tasks.create_task(viewer.look(session, address)) for viewer in viewers]
            await asyncio.sleep(seconds)
            told = [await _status(folder) for folder in folders]
            for task in looking:
                task.cancel()
        p99 = [each["p99_us"] for each in told]
        heard = sum(viewer.messages for viewer in viewers) // VIEWERS
        return Round(watched_us=p99[watched], alone_us=p99[1 - watched], messages=heard)


def main(argv: Sequence[str] | None = None) -> None:
    """Print each round, and the median ratio."""
    flags = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    flags.add_argument("--quick", action="store_true", help="two short rounds, in which the start weighs most")
    quick = flags.parse_args(argv).quick
    seconds, rounds = (10.0, 2) if quick else (60.0, ROUNDS)
    print(
        f"board message -> decision, p99 in us, two traders side by side, {VIEWERS} viewers of one, {seconds:.0f} s\n"
    )
    print(f"{'round':<8}{'watched':>10}{'unwatched':>12}{'times':>8}{'messages a viewer':>20}")
    ratios = []
    for number in range(rounds):
        one = asyncio.run(_round(seconds, number % 2))
        ratios.append(one.ratio)
        print(f"{number + 1:<8}{one.watched_us:>10,.0f}{one.alone_us:>12,.0f}{one.ratio:>8.2f}{one.messages:>20,}")
    print(f"\nmedian of the ratios: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
