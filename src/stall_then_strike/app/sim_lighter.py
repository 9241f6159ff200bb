"""``sim_lighter``: run Lighter's exchange on loopback, for any client of its API.

Several markets with a seeded crowd, and one account with a throw-away key to trade on. The first lines on standard
output are meant for scripts: ``sim_lighter ready rest=URL ws=URL markets=ETH:0,...`` when the port is open, then
``sim_lighter account index=N key_index=N key=HEX plan=PLAN``, once for each key of ``--keys``. Keys are valid for this
process only. Clients sign for chain 304, as the SDK does at any address that it does not know.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from stall_then_strike.app.shell import cli, venue_flags
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.first_of import first_of
from stall_then_strike.app.shell.flag_values import speed, whole
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.sim.faults.kinds import FaultPlan, FaultVenue
from stall_then_strike.sim.faults.lighter_catalogue import LIGHTER_RECIPES
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, LighterMarket, Plan
from stall_then_strike.sim.lighter_server import Credentials, LighterExchange

_BY_SYMBOL: Final = {market.symbol: market for market in MARKETS}
_LARGEST_USDC: Final = 10**9
_MOST_KEYS: Final = 8


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "sim_lighter",
        "Lighter's API for several perpetuals on this machine: REST and WebSocket, with a demo account.",
        ("", "until Ctrl-C; prints its addresses, account and key"),
        ("--plan premium --speed 10", "a premium account, ten times as fast"),
    )
    venue_flags.add_address(flags)
    flags.add_argument(
        "--seed", metavar="N", type=int, default=1, help="seed of markets and key (default: %(default)s)"
    )
    flags.add_argument(
        "--plan",
        choices=[plan.value for plan in Plan],
        default=Plan.STANDARD.value,
        help="the account's plan, which decides fees and limits (default: %(default)s)",
    )
    flags.add_argument(
        "--markets",
        metavar="A,B,...",
        type=_markets,
        default=MARKETS,
        help=f"which markets are open (default: {','.join(_BY_SYMBOL)})",
    )
    flags.add_argument(
        "--collateral",
        metavar="USDC",
        type=whole("an amount", f"whole USDC above 0 to {_LARGEST_USDC:,}", 1, _LARGEST_USDC),
        default=10_000,
        help="at the start (default: %(default)s)",
    )
    flags.add_argument(
        "--keys",
        metavar="N",
        type=whole("a number of keys", f"1 to {_MOST_KEYS}", 1, _MOST_KEYS),
        default=1,
        help=f"API keys of the account, 1 to {_MOST_KEYS}: several programs can sign for it (default: %(default)s)",
    )
    flags.add_argument(
        "--speed",
        metavar="X",
        type=_speed,
        default=1.0,
        help="multiple of real time (default: %(default)g); idle sockets are closed in real time",
    )
    venue_flags.add_duration(flags)
    venue_flags.add_faults(flags, "configs/faults-lighter.yml")
    return flags


@command("sim_lighter")
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    args = parser().parse_args(argv)
    cli.require_open_files()
    plan = venue_flags.read_faults(args, FaultVenue.LIGHTER, LIGHTER_RECIPES)
    with cli.signals_held():
        return cli.run(_serve(plan, args))


async def _serve(plan: FaultPlan | None, args: argparse.Namespace) -> int:
    """Serve until a signal or the end of the duration."""
    ending = Ending()
    clock = ScaledClock(args.speed)
    exchange = LighterExchange(
        clock=clock,
        markets=args.markets,
        seed=args.seed,
        plan=Plan(args.plan),
        has_crowd=True,
        faults=plan,
        host=args.host,
        port=args.port,
        signing_ns=clock.sources.wall_ns,
        clients_ns=clock.sources.wall_ns,
    )
    first = exchange.add_account(args.collateral)
    more = range(first.api_key_index + 1, first.api_key_index + args.keys)
    keys = [first, *(exchange.add_key(first.account_index, index) for index in more)]
    async with AsyncExitStack() as stack:
        if not await venue_flags.is_listening(stack, exchange, "sim_lighter", args):
            return EXIT_FAILED
        _announce(exchange, keys, args.plan)
        with cli.signals_heard(ending.on_signal):
            await first_of(asyncio.Event().wait(), ending.wanted, limit_s=args.duration)
            ending.ask("duration over")  # no effect after a signal: the first reason is kept
    counts = exchange.hub.counters
    sys.stdout.write(
        f"stopped: {ending.why}; {counts.connections} connections, {counts.frames} frames, "
        f"{sum(exchange.audit.counts.values())} requests\n"
    )
    if plan is not None:
        venue_flags.tell_struck(exchange.faults)
    return EXIT_DONE


def _announce(exchange: LighterExchange, keys: Sequence[Credentials], plan: str) -> None:
    markets = ",".join(f"{market.symbol}:{number}" for number, market in exchange.venue.accounts.markets.items())
    sys.stdout.write(
        f"sim_lighter ready rest={exchange.base_url} ws={exchange.ws_url} markets={markets}\n"
        + "".join(
            f"sim_lighter account index={key.account_index} key_index={key.api_key_index} key={key.private_key} "
            f"plan={plan}\n"
            for key in keys
        )
        + "(Ctrl-C stops the exchange)\n"
    )
    sys.stdout.flush()


def _markets(text: str) -> tuple[LighterMarket, ...]:
    """Symbols of markets, for argparse."""
    symbols = text.split(",")
    unknown = [symbol for symbol in symbols if symbol not in _BY_SYMBOL]
    if unknown or len(set(symbols)) < len(symbols):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of markets; accepted: each once, of {','.join(_BY_SYMBOL)}"
        )
    return tuple(_BY_SYMBOL[symbol] for symbol in symbols)


def _speed(text: str) -> float:
    """A finite speed, for argparse."""
    if text == "max":
        raise argparse.ArgumentTypeError("'max' is not a speed here; accepted: a positive multiple of real time")
    return speed(text)


if __name__ == "__main__":
    sys.exit(main())
