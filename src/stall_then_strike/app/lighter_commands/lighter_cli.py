"""``lighter``: look at an account on Lighter, and place, change and cancel its orders.

- ``lighter markets``: index, steps and minimums of each market; needs no account
- ``lighter balance``, ``positions``, ``orders``: the account
- ``lighter place``, ``modify``, ``cancel``, ``cancel-all``: send, and wait until the venue shows the effect

Account and key come from ``accounts.toml``, the environment or ``.env`` (`account_keys`). Before anything goes to a
host that is not this machine, the operator is asked. The venue only queues what it accepts; so these commands say what
its list of orders shows afterwards, and exit with 1 if that is not what was asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlsplit

from stall_then_strike.app.lighter_commands import lighter_tables
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.infra.line.own_machine import is_own_machine
from stall_then_strike.lighter import LighterDealer
from stall_then_strike.lighter.instruments import MAINNET, LighterInstrumentLoader
from stall_then_strike.lighter.signing.account_keys import account_config
from stall_then_strike.lighter.signing.intents import ALL_MARKETS, COI_MAX, market_of
from stall_then_strike.lighter.signing.order_forms import index_from
from stall_then_strike.types.errors import AuthRefused, BatchFailed, ConfigError, UnfitOrder, VenueError

LOOKS_S: Final = (0.4, 0.4, 0.8, 1.6, 3.2, 3.2)
"""Pauses before the looks for an effect, in seconds: it takes 0.2 to 0.3 s, and lists may lag by some seconds."""
_GOOD: Final = frozenset({"open", "pending", "in-progress", "filled"})
Order = Mapping[str, Any]
Do = Callable[[LighterDealer, argparse.Namespace], Awaitable[int]]


class _Declined(Exception):
    """The operator said no."""


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "lighter",
        "Look at an account on Lighter, and place, change and cancel its orders.",
        ("orders", "open orders"),
        ("place ETH buy 0.01 --price 2000", "a limit order; asks first"),
        codes={
            0: "done",
            1: "refused, failed, not confirmed, or no effect seen",
            2: "wrong settings or arguments: nothing was sent",
        },
        more="account and key: --account, or LIGHTER_ACCOUNT_INDEX, LIGHTER_API_KEY_INDEX and "
        "LIGHTER_API_KEY_PRIVATE_KEY in the environment or in .env",
    )
    commands = flags.add_subparsers(metavar="COMMAND", required=True)
    _command(commands, "markets", None, "index, steps and minimums of each market; needs no account")
    _command(commands, "balance", _balance, "collateral, and what of it is available")
    _command(commands, "positions", _positions, "positions that are not flat")
    orders = _command(commands, "orders", _orders, "open orders")
    orders.add_argument("--symbol", metavar="NAME", help="of this market only (default: all)")

    place = _sending(commands, "place", _place, "place an order")
    place.add_argument("symbol", metavar="MARKET", help="such as ETH")
    place.add_argument("side", choices=("buy", "sell"))
    place.add_argument("size", metavar="SIZE", type=_positive)
    kind = place.add_mutually_exclusive_group(required=True)
    kind.add_argument("--price", metavar="P", type=_positive, help="rest at this price for up to 28 days")
    kind.add_argument("--market", action="store_true", help="trade now; what cannot be had is cancelled")
    place.add_argument(
        "--bound", metavar="P", type=_positive, help="with --market: worst average price (default: 5%% beyond the best)"
    )
    place.add_argument("--post-only", action="store_true", help="cancelled if it would trade at once")
    place.add_argument("--reduce-only", action="store_true", help="only against the position")

    modify = _sending(commands, "modify", _modify, "change an order, which then queues last at its price")
    modify.add_argument("id", metavar="ID", type=_index, help="client order index or order index")
    modify.add_argument("--price", metavar="P", type=_positive)
    modify.add_argument("--size", metavar="S", type=_positive, help="total size, the filled part included")
    modify.add_argument("--trigger-price", metavar="P", type=_positive)

    cancel = _sending(commands, "cancel", _cancel, "cancel orders")
    cancel.add_argument("ids", metavar="ID", type=_index, nargs="+", help="client order index or order index")
    _sending(commands, "cancel-all", _cancel_all, "cancel all orders of all markets")
    return flags


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, do: Do | None, text: str
) -> argparse.ArgumentParser:
    flags: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    flags.add_argument("--base-url", metavar="URL", default=MAINNET, help="address of the API (default: %(default)s)")
    flags.add_argument("--account", metavar="NAME", default="", help="account of accounts.toml (default: see below)")
    flags.add_argument("--json", action="store_true", help="one JSON value, for programs")
    flags.set_defaults(do=do, name=name, symbol=None, sends=False)
    return flags


def _sending(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, do: Do, text: str
) -> argparse.ArgumentParser:
    flags = _command(commands, name, do, text)
    flags.add_argument("--yes", action="store_true", help="do not ask before it is sent")
    flags.set_defaults(sends=True)
    return flags


@command("lighter", patient=True, expects=(VenueError,), usage=(ConfigError, UnfitOrder, AuthRefused))
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    flags = parser()
    args = flags.parse_args(argv)
    _refuse_mixtures(flags, args)
    try:
        return cli.run(_run(args))
    except _Declined:
        sys.stdout.write("nothing was sent\n")
        return EXIT_FAILED


def _refuse_mixtures(flags: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with an error if arguments do not go together, or if nobody can be asked."""
    if args.name == "place" and args.bound is not None and not args.market:
        flags.error("--bound goes with --market only")
    if args.name == "place" and args.market and args.post_only:
        flags.error("--post-only goes with --price only")
    if args.name == "modify" and args.price is args.size is args.trigger_price is None:
        flags.error("modify needs --price, --size or --trigger-price")
    if _must_ask(args) and not sys.stdin.isatty():
        flags.error(f"there is no terminal to ask on before something is sent to {args.base_url}; accepted: --yes")


def _must_ask(args: argparse.Namespace) -> bool:
    """Whether the command sends something to another machine, and has no leave to."""
    try:
        host = urlsplit(args.base_url).hostname or ""
    except ValueError:
        host = ""
    return args.sends and not args.yes and not is_own_machine(host)


async def _run(args: argparse.Namespace) -> int:
    if args.do is None:
        return await _markets(args)
    async with await LighterDealer.create(account_config(args.base_url, args.symbol, account=args.account)) as dealer:
        code: int = await args.do(dealer, args)
        return code


# --- questions -------------------------------------------------------------------------------------------------------


async def _markets(args: argparse.Namespace) -> int:
    markets = await LighterInstrumentLoader(args.base_url).refresh()
    if args.json:
        _print_json(
            [
                {
                    "market_index": market.market_index,
                    "symbol": market.symbol,
                    "price_step": market.instrument.tick_size,
                    "size_step": market.instrument.lot_size,
                    "min_base_amount": market.min_base,
                    "min_quote_amount": market.min_quote,
                    "is_active": market.is_active,
                }
                for market in markets.all()
            ]
        )
    else:
        lighter_tables.show_markets(markets)
    return EXIT_DONE


async def _balance(dealer: LighterDealer, args: argparse.Namespace) -> int:
    return _shown(await dealer.fetch_my_balance(), lighter_tables.show_balance, args)


async def _positions(dealer: LighterDealer, args: argparse.Namespace) -> int:
    return _shown(await dealer.fetch_my_position(), lighter_tables.show_positions, args)


def _shown(value: Any, show: Callable[[Any], None], args: argparse.Namespace) -> int:
    (_print_json if args.json else show)(value)
    return EXIT_DONE


async def _orders(dealer: LighterDealer, args: argparse.Namespace) -> int:
    orders = await dealer.fetch_open_orders(None if args.symbol else ALL_MARKETS)
    if args.json:
        _print_json(orders)
    else:
        lighter_tables.show_orders(orders, dealer.markets)
    return EXIT_DONE


# --- orders ----------------------------------------------------------------------------------------------------------


async def _place(dealer: LighterDealer, args: argparse.Namespace) -> int:
    size = args.size if args.side == "buy" else -args.size
    async with dealer.batch(auto_flush=False):
        if args.market:
            placed = await dealer.create_market_order(size, args.bound, reduce_only=args.reduce_only)
            terms = f"at market, {args.bound} on average at worst" if args.bound else "at market, up to 5 % beyond"
        else:
            placed = await dealer.create_limit_order(
                args.price, size, post_only=args.post_only, reduce_only=args.reduce_only
            )
            terms = f"at {args.price} ({args.size * args.price:f} USDC)"
        words = [terms, *(["post-only"] if args.post_only else []), *(["reduce-only"] if args.reduce_only else [])]
        _confirm(dealer, args, f"{args.side} {args.size} {dealer.market.symbol} {', '.join(words)}")
    [sent] = await _flush(dealer, args)
    coi = placed["client_order_index"]

    async def look() -> Order | None:
        return await dealer.fetch_order(coi) or None

    return _tell(dealer, args, sent, await _seen(look))


async def _modify(dealer: LighterDealer, args: argparse.Namespace) -> int:
    await dealer.fetch_open_orders(ALL_MARKETS)
    _require_listed(dealer, args.id)
    async with dealer.batch(auto_flush=False):
        await dealer.update_order(args.id, args.price, args.size, args.trigger_price)
        given = {"price": args.price, "initial_base_amount": args.size, "trigger_price": args.trigger_price}
        wanted = {name: value for name, value in given.items() if value is not None}
        told = ", ".join(f"{name.replace('initial_base_amount', 'size')} {value}" for name, value in wanted.items())
        _confirm(dealer, args, f"change order {args.id} to {told.replace('_', ' ')}")
    [sent] = await _flush(dealer, args)

    async def look() -> Order | None:
        order = await dealer.fetch_order(args.id)
        return order if order and (order.get("status") != "open" or _has(order, wanted)) else None

    return _tell(dealer, args, sent, await _seen(look))


async def _cancel(dealer: LighterDealer, args: argparse.Namespace) -> int:
    ids = list(dict.fromkeys(args.ids))
    await dealer.fetch_open_orders(ALL_MARKETS)
    for index in ids:
        _require_listed(dealer, index)
    async with dealer.batch(auto_flush=False):
        for index in ids:
            await dealer.cancel_order(index)
        _confirm(dealer, args, f"cancel {', '.join(map(str, ids))}")
    await _flush(dealer, args)
    return await _tell_gone(dealer, args, lambda order: any(_is_of(order, index) for index in ids))


async def _cancel_all(dealer: LighterDealer, args: argparse.Namespace) -> int:
    before = await dealer.fetch_open_orders(ALL_MARKETS)
    async with dealer.batch(auto_flush=False):
        await dealer.cancel_all_orders()
        _confirm(dealer, args, f"cancel all orders of all markets ({len(before)} are listed)")
    await _flush(dealer, args)
    return await _tell_gone(dealer, args, lambda _order: True)


def _require_listed(dealer: LighterDealer, index: int) -> None:
    """Raise ConfigError for a client order index whose market is unknown: a cancel of it would end in silence."""
    if market_of(index) is None and dealer.orders.find(index) is None:
        raise ConfigError(f"order {index}: not among the open orders; accepted: an id that `lighter orders` shows")


def _confirm(dealer: LighterDealer, args: argparse.Namespace, what: str) -> None:
    """Ask on the terminal unless it goes to this machine or has leave. Raises _Declined."""
    if not _must_ask(args):
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the loop's handler would wait for the answer
    try:
        if not cli.says_yes(f"{what}\n  account {dealer.cfg.account_index} at {dealer.cfg.base_url}\nSend it?"):
            raise _Declined
    finally:
        signal.signal(signal.SIGINT, before)


async def _flush(dealer: LighterDealer, args: argparse.Namespace) -> Sequence[Mapping[str, Any]]:
    """Send what is queued. Raises BatchFailed, whose results are printed for programs."""
    try:
        results: Sequence[Mapping[str, Any]] = (await dealer.flush())["results"]
    except BatchFailed as error:
        if args.json:
            _print_json({"sent": error.results})
        raise
    return results


async def _seen(look: Callable[[], Awaitable[Order | None]]) -> Order | None:
    """What the look finds, within its tries. A question without an answer counts as nothing found."""
    for pause_s in LOOKS_S:
        await asyncio.sleep(pause_s)
        try:
            found = await look()
        except VenueError as error:
            sys.stderr.write(f"lighter: {error}\n")
            continue
        if found is not None:
            return found
    return None


def _tell(dealer: LighterDealer, args: argparse.Namespace, sent: Mapping[str, Any], order: Order | None) -> int:
    """Tell what became of what was sent; whether that is good is the exit code."""
    if args.json:
        _print_json({"sent": [sent], "order": order})
    elif order is None:
        sys.stdout.write(
            f"accepted ({sent['tx_hash']}), but its effect is not seen after {sum(LOOKS_S):.0f} s; "
            f"id {sent.get('client_order_index', sent.get('order_id'))}\n"
        )
    else:
        sys.stdout.write(f"{lighter_tables.told(order, dealer.markets)}\n")
    return EXIT_DONE if order is not None and order.get("status") in _GOOD else EXIT_FAILED


async def _tell_gone(dealer: LighterDealer, args: argparse.Namespace, is_meant: Callable[[Order], bool]) -> int:
    """Wait until none of these is open, and tell what is."""
    left: list[dict[str, Any]] = []

    async def look() -> Order | None:
        nonlocal left
        left = [order for order in await dealer.fetch_open_orders(ALL_MARKETS) if is_meant(order)]
        return None if left else {}

    is_gone = await _seen(look) is not None
    if args.json:
        _print_json({"gone": is_gone, "left": left})
    elif is_gone:
        sys.stdout.write("cancelled: none of them is open any more\n")
    else:
        sys.stdout.write(f"accepted, but not seen to be gone after {sum(LOOKS_S):.0f} s\n")
        lighter_tables.show_orders(left, dealer.markets)
    return EXIT_DONE if is_gone else EXIT_FAILED


def _is_of(order: Order, index: int) -> bool:
    return order.get("client_order_index" if index <= COI_MAX else "order_index") == index


def _has(order: Order, wanted: Mapping[str, Decimal]) -> bool:
    return all(Decimal(str(order.get(name) or 0)) == value for name, value in wanted.items())


def _print_json(value: Any) -> None:
    cli.print_json(value, str)


def _positive(text: str) -> Decimal:
    """A positive decimal, for argparse."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number; accepted: such as 0.01")
    return value


def _index(text: str) -> int:
    """A client order index or order index, for argparse."""
    try:
        return index_from(text)
    except UnfitOrder as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
