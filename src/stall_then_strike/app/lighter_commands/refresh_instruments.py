"""``refresh_instruments``: ask an exchange for its instruments, keep the list, and show it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.wide_table import print_table, text_table
from stall_then_strike.infra.accounts_file import XLIGHTER, exchange_named
from stall_then_strike.lighter.dealer_config import checked_address
from stall_then_strike.lighter.instruments import MAINNET, LighterInstrumentLoader, cache_file
from stall_then_strike.lighter.markets import SETTLE, Market
from stall_then_strike.types.errors import VenueError
from stall_then_strike.types.names import NS_PER_S
from stall_then_strike.types.text import plain, utc_iso

_HEADS: Final = ("name", ">id", "type", "state", ">tick", ">lot", ">least size", ">least value")


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "refresh_instruments",
        "Ask an exchange for its instruments, keep the list, and show it. Needs no account.",
        ("--exchange XLIGHTER", "all markets of Lighter"),
        ("--json", "one JSON value, for programs"),
        codes={0: "done", 1: "the exchange cannot be reached, or answers nonsense", 2: "bad arguments"},
    )
    flags.add_argument(
        "--exchange",
        metavar="NAME",
        type=_exchange,
        default=XLIGHTER,
        help="XLIGHTER or LIGHTER (default: %(default)s)",
    )
    flags.add_argument("--base-url", metavar="URL", default=MAINNET, help="address of the API (default: %(default)s)")
    flags.add_argument(
        "--cache",
        metavar="FILE",
        type=Path,
        help="keep the list there (default: in ~/.cache/stall-then-strike; of an exchange on this machine, nowhere)",
    )
    flags.add_argument("--json", action="store_true", help="one JSON value, for programs")
    return flags


@command("refresh_instruments", patient=True, expects=(VenueError,))
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    args = parser().parse_args(argv)
    troubles: list[str] = []
    base_url = checked_address(args.base_url, "--base-url")
    cache = args.cache or cache_file(base_url)
    loader = LighterInstrumentLoader(base_url, cache=cache, on_trouble=troubles.append)
    cli.run(loader.refresh())
    _show_json(loader) if args.json else _show_table(loader)
    for trouble in troubles:
        sys.stderr.write(f"refresh_instruments: {trouble}\n")
    return EXIT_FAILED if troubles else EXIT_DONE


def _exchange(text: str) -> str:
    """The exchange's name, for argparse."""
    if exchange_named(text) != XLIGHTER:
        raise argparse.ArgumentTypeError(f"{text!r} has no list of instruments; accepted: XLIGHTER, LIGHTER")
    return XLIGHTER


def _show_table(loader: LighterInstrumentLoader) -> None:
    markets, where = loader.markets, f"kept in {loader.cache}" if loader.cache else "not kept"
    title = f"{len(markets)} instruments of {loader.base_url}, {utc_iso(markets.as_of_ns)[:19]}Z, {where}"
    table = text_table(title, _HEADS, map(_cells, markets.all()), box=box.SIMPLE_HEAD, pad_edge=False)
    print_table(Console(highlight=False, markup=False), table)


def _cells(market: Market) -> tuple[str, ...]:
    unit = market.instrument
    return (
        market.ticker,
        str(market.market_index),
        market.market_type,
        "open" if market.is_active else "closed",
        plain(unit.tick_size),
        plain(unit.lot_size),
        plain(unit.size(unit.min_size)),
        f"{plain(unit.amount(unit.min_notional))} {unit.quote}",
    )


def _show_json(loader: LighterInstrumentLoader) -> None:
    instruments = {
        "exchange": XLIGHTER,
        "source": loader.base_url,
        "as_of": utc_iso(loader.markets.as_of_ns),
        "age_sec": loader.age_ns() // NS_PER_S,
        "cache": None if loader.cache is None else str(loader.cache),
        "instruments": [_row(market) for market in loader.markets.all()],
    }
    cli.print_json(instruments)


def _row(market: Market) -> dict[str, object]:
    """One instrument. Amounts are texts, because they are decimals."""
    unit = market.instrument
    return {
        "symbol": market.ticker,
        "full_name": market.full_name,
        "exchange_symbol": market.symbol,
        "market_id": market.market_index,
        "market_type": market.market_type,
        "is_active": market.is_active,
        "base": unit.base,
        "quote": unit.quote,
        "settle": SETTLE if market.market_type == "SWAP" else None,
        "tick_size": plain(unit.tick_size),
        "lot_size": plain(unit.lot_size),
        "min_size": plain(unit.size(unit.min_size)),
        "min_notional": plain(unit.amount(unit.min_notional)),
    }


if __name__ == "__main__":
    sys.exit(main())
