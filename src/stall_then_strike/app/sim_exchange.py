"""``sim_exchange``: the embedded exchange on its own, for any client that speaks bitFlyer's public API.

Two kinds of market: generated from a seed (endless) or played from a tape (ends with it). The first line on standard
output is made for scripts: ``sim_exchange ready rest=URL ws=URL product=CODE``; it appears once the port is open.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from stall_then_strike.app import cli
from stall_then_strike.infra.clock import ScaledClock, SystemClock
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.market import Market
from stall_then_strike.sim.source import MarketSource
from stall_then_strike.sim.tape import TapeError, TapeSource

_MAX_PORT: Final = 65_535


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = argparse.ArgumentParser(
        prog="sim_exchange",
        description="bitFlyer's public API for FX_BTC_JPY on this machine: REST and realtime WebSocket, no account.",
    )
    flags.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    flags.add_argument(
        "--port", metavar="N", type=_port, default=0, help="port to listen on (default: 0, the system chooses)"
    )
    source = flags.add_mutually_exclusive_group()
    source.add_argument("--seed", metavar="N", type=int, default=1, help="seed of the market (default: %(default)s)")
    source.add_argument("--tape", metavar="FILE", type=Path, help="play a tape (.jsonl or .jsonl.zst) instead")
    flags.add_argument(
        "--speed",
        metavar="X|max",
        type=cli.speed,
        default=1.0,
        help="times real time, or max: as fast as the clients take it; starts with the first one (default: 1)",
    )
    flags.add_argument(
        "--duration", metavar="SECONDS", type=cli.positive_seconds, help="stop after so many real seconds"
    )
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    args = parser().parse_args(argv)
    try:
        source, clock = _market(args)
    except TapeError as error:
        sys.stderr.write(f"sim_exchange: --tape {error}\n")
        return cli.EXIT_USAGE
    except OSError as error:
        sys.stderr.write(f"sim_exchange: --tape {args.tape}: {error.strerror}; accepted: a tape (.jsonl, .jsonl.zst)\n")
        return cli.EXIT_USAGE
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(source, clock, args))
    except* TapeError as broken:
        sys.stderr.write("".join(f"sim_exchange: {error}\n" for error in broken.exceptions))
    return cli.EXIT_FAILED


def _market(args: argparse.Namespace) -> tuple[MarketSource, ScaledClock | None]:
    """The source and the clock that fits it; None at maximal speed. Raises OSError and TapeError for the tape."""
    is_paced = not math.isinf(args.speed)
    if args.tape is not None:
        tape = TapeSource(args.tape)
        return tape, ScaledClock(args.speed, tape.start_ns) if is_paced else None
    clock = SystemClock() if args.speed == 1.0 else ScaledClock(args.speed if is_paced else 1.0)
    return Market(seed=args.seed, start_ns=clock.now_ns()), clock if is_paced else None


async def _serve(source: MarketSource, clock: ScaledClock | None, args: argparse.Namespace) -> int:
    """Be the venue until a signal, the duration or the end of the tape."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        exchange = BitflyerExchange(source, clock=clock, host=args.host, port=args.port)
        try:
            await stack.enter_async_context(exchange)
        except OSError as error:
            sys.stderr.write(f"sim_exchange: cannot listen on {args.host}:{args.port}: {error.strerror or error}\n")
            return cli.EXIT_FAILED
        _announce(exchange)
        why = await _until_end(exchange, stop, args.duration)
    counts = exchange.statistics()
    sys.stdout.write(
        f"stopped: {why}; {counts.connections} connections, {counts.frames_sent} frames, {counts.http_requests} calls\n"
    )
    return cli.EXIT_DONE


def _announce(exchange: BitflyerExchange) -> None:
    product = exchange.source.instrument.product_code
    sys.stdout.write(
        f"sim_exchange ready rest={exchange.base_url} ws={exchange.ws_url} product={product}\n"
        "trade it on paper from another terminal (Ctrl-C here stops the exchange):\n"
        f"  run_paper --set exchange.base_url={exchange.base_url} --set exchange.ws_url={exchange.ws_url}\n"
    )
    sys.stdout.flush()


async def _until_end(exchange: BitflyerExchange, stop: asyncio.Event, duration_s: float | None) -> str:
    """Wait for whatever ends the run; say what it was."""
    async with asyncio.TaskGroup() as tasks:
        signalled = tasks.create_task(stop.wait())
        ended = tasks.create_task(exchange.wait_ended())
        await asyncio.wait((signalled, ended), timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
        why = "signal" if signalled.done() else "end of tape" if ended.done() else "duration over"
        signalled.cancel()
        ended.cancel()
    return why


def _port(text: str) -> int:
    """A port number, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; accepted: 0 to {_MAX_PORT}")
    return int(text)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where the platform has it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
