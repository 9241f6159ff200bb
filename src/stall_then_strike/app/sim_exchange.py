"""``sim_exchange``: run the embedded exchange on its own, for any client of bitFlyer's API.

The market is generated from a seed (endless, with one account to trade on) or played from a tape (ends with the tape,
public only). The first lines on standard output are meant for scripts: ``sim_exchange ready rest=URL ws=URL
product=CODE`` when the port is open, with commas between the codes of several products, then, with an account,
``sim_exchange account key=KEY secret=SECRET``. The pair is given by the operator or generated at each start, and is
valid for this process only.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Final

from pydantic import ValidationError

from stall_then_strike.app.shell import cli, venue_flags
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.first_of import first_of
from stall_then_strike.app.shell.flag_values import speed, whole
from stall_then_strike.config.products import InstrumentConfig
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.sim.bitflyer.keys import ApiKey
from stall_then_strike.sim.bitflyer.ledger import Rounding
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer.venue_hours import Calendar, Maintenance
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.flow_model import REGIMES
from stall_then_strike.sim.exchange.several_markets import products_of
from stall_then_strike.sim.exchange.source import MarketSource
from stall_then_strike.sim.faults.kinds import FaultPlan
from stall_then_strike.sim.market import Market
from stall_then_strike.tapes.tape_reader import Stamps, TapeError, TapeSource
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.types.instrument import Instrument, fx_btc_jpy
from stall_then_strike.venues.embedded_bitflyer import open_accounts, open_markets, source_of

_yen: Final = whole("an amount", "whole JPY above 0", 1)
_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "sim_exchange",
        "bitFlyer's API for FX_BTC_JPY on this machine: REST and realtime WebSocket, with a demo account.",
        ("", "until Ctrl-C; prints its addresses"),
        ("--market toxic --speed 10", "a harder market, ten times as fast"),
    )
    venue_flags.add_address(flags)
    source = flags.add_mutually_exclusive_group()
    source.add_argument("--seed", metavar="N", type=int, default=1, help="seed of the market (default: %(default)s)")
    source.add_argument("--tape", metavar="FILE", type=Path, help="play a tape (.jsonl or .jsonl.zst) instead")
    flags.add_argument(
        "--market",
        choices=tuple(REGIMES),
        default="real",
        help="what it is like: as recorded markets, calmer, or harder (default: %(default)s; not with --tape)",
    )
    flags.add_argument(
        "--speed",
        metavar="X|max",
        type=speed,
        default=1.0,
        help="multiple of real time, or max: as fast as clients read; time starts with the first client (default: 1)",
    )
    venue_flags.add_duration(flags)
    flags.add_argument(
        "--also",
        metavar="CODE=TICK",
        type=_product,
        action="append",
        default=[],
        help="trade a further product, such as ETH_JPY=0.1, in price steps of TICK; may be repeated; not with --tape",
    )
    account = flags.add_argument_group("account (not with --tape)")
    account.add_argument("--api-key", metavar="TEXT", help="key that is accepted (default: a new one, printed)")
    account.add_argument("--api-secret", metavar="TEXT", help="its secret (default: a new one, printed)")
    account.add_argument(
        "--collateral",
        metavar="JPY",
        type=lambda text: Decimal(_yen(text)),
        default=Decimal(1_000_000),
        help="at the start (default: 1000000)",
    )
    account.add_argument(
        "--maintenance",
        metavar="HH:MM|off",
        type=_maintenance,
        default=Maintenance(),
        help="UTC time of the daily maintenance (default: 19:00)",
    )
    account.add_argument(
        "--yen",
        choices=("exact", "shown", "settled"),
        default="exact",
        help="exact: money with all decimals; shown: rounded to whole yen in answers; settled: also when booked, "
        "against the account (default: %(default)s)",
    )
    venue_flags.add_faults(flags, "configs/faults.yml")
    return flags


@command("sim_exchange")
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    flags = parser()
    args = flags.parse_args(argv)
    if args.tape is not None and (args.api_key is not None or args.api_secret is not None):
        flags.error("--api-key and --api-secret: not allowed with --tape, which has no account")
    if args.tape is not None and args.also:
        flags.error("--also: not allowed with --tape, which is of one product")
    codes = [fx_btc_jpy().product_code, *(unit.product_code for unit in args.also)]
    if len(set(codes)) < len(codes):
        flags.error("--also: a product is given twice; FX_BTC_JPY is there without it")
    cli.require_open_files()
    plan = venue_flags.read_faults(args)
    try:
        markets, source, clock = _market(args)
    except TapeError as error:
        raise ConfigError(f"--tape {error}") from error
    except OSError as error:
        raise ConfigError(f"--tape {args.tape}: {error.strerror}; accepted: a tape (.jsonl, .jsonl.zst)") from error
    with cli.signals_held():
        return cli.run(_serve(markets, source, clock, plan, args))


def _market(args: argparse.Namespace) -> tuple[list[Market], MarketSource, ScaledClock | None]:
    """The generated markets, what the exchange advances, and its clock (None at maximal speed).

    A tape has no markets of its own. Raises OSError and TapeError for the tape.
    """
    is_paced = not math.isinf(args.speed)
    if args.tape is not None:
        tape, stamps = TapeSource(args.tape), Stamps()
        stamps.take(tape.start_ns, "")
        if why := stamps.fault(at_end=True):
            sys.stderr.write(f"sim_exchange: --tape {args.tape}: {why}; it is played as it stands\n")
        return [], tape, ScaledClock(args.speed, tape.start_ns) if is_paced else None
    clock = ScaledClock(args.speed if is_paced else 1.0)
    markets = open_markets([fx_btc_jpy(), *args.also], args.seed, clock.now_ns(), REGIMES[args.market])
    return markets, source_of(markets), clock if is_paced else None


async def _serve(
    markets: list[Market],
    source: MarketSource,
    clock: ScaledClock | None,
    plan: FaultPlan | None,
    args: argparse.Namespace,
) -> int:
    """Serve until a signal, the end of the duration or the end of the tape."""
    ending = Ending()
    async with AsyncExitStack() as stack:
        key = ApiKey(key=args.api_key or token_hex(11), secret=args.api_secret or token_urlsafe(32))
        private: PrivateVenue | None = None
        if markets:
            settings = PrivateSettings(
                seed=args.seed,
                collateral_jpy=args.collateral,
                calendar=Calendar(maintenance=args.maintenance),
                shown_yen=None if args.yen == "exact" else Rounding.DOWN,
                settled_yen=Rounding.DOWN if args.yen == "settled" else None,
            )
            private = open_accounts(markets, [key], settings)
        exchange = BitflyerExchange(source, clock=clock, host=args.host, port=args.port, private=private, faults=plan)
        if not await venue_flags.is_listening(stack, exchange, "sim_exchange", args):
            return EXIT_FAILED
        _announce(exchange, key if private is not None else None)
        with cli.signals_heard(ending.on_signal):
            has_ended = await first_of(exchange.wait_ended(), ending.wanted, limit_s=args.duration)
            ending.ask("end of tape" if has_ended else "duration over")  # no effect after a signal: the first is kept
    counts = exchange.hub.counters
    sys.stdout.write(
        f"stopped: {ending.why}; {counts.connections} connections, {counts.frames} frames, "
        f"{exchange.http_requests} calls\n"
    )
    if plan is not None:
        venue_flags.tell_struck(exchange.faults)
    return EXIT_DONE


def _announce(exchange: BitflyerExchange, key: ApiKey | None) -> None:
    products = ",".join(products_of(exchange.source))
    account = "" if key is None else f"sim_exchange account key={key.key} secret={key.secret}\n"
    sys.stdout.write(
        f"sim_exchange ready rest={exchange.base_url} ws={exchange.ws_url} product={products}\n{account}"
        "to trade on it on paper, from another terminal (Ctrl-C here stops the exchange):\n"
        f"  run_paper --set exchange.base_url={exchange.base_url} --set exchange.ws_url={exchange.ws_url}\n"
    )
    if key is not None:
        sys.stdout.write(
            "or with orders, with key and secret in BITFLYER_API_KEY and BITFLYER_API_SECRET:\n"
            f"  run_live --set exchange.base_url={exchange.base_url} --set exchange.ws_url={exchange.ws_url}"
            " --set journal.dir=data/journal-of-this-exchange\n"
        )
    sys.stdout.flush()


def _product(text: str) -> Instrument:
    """A further product, for argparse."""
    code, _, tick = text.partition("=")
    try:
        cfg = InstrumentConfig.model_validate({"product_code": code, "tick_size": Decimal(tick)})
    except (ValidationError, ArithmeticError):
        words = (
            f"{text!r} is not a product; accepted: CODE=TICK, such as ETH_JPY=0.1, with a tick that divides 1 evenly"
        )
        raise argparse.ArgumentTypeError(words) from None
    return cfg.instrument()


def _maintenance(text: str) -> Maintenance | None:
    """A daily maintenance, for argparse."""
    if text == "off":
        return None
    match = _TIME_OF_DAY.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; accepted: 00:00 to 23:59, or off")
    return Maintenance(start_s=int(match[1]) * 3_600 + int(match[2]) * 60)


if __name__ == "__main__":
    sys.exit(main())
