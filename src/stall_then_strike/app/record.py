"""``record``: record all public channels of one or more products to tapes.

It writes hourly files ``<PRODUCT>-YYYYMMDDTHHZ.jsonl.zst`` (UTC), each with a manifest beside it. A signal finishes
them in good order. After a ``kill -9`` at most the last second is missing, and the next start finishes the files.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from loguru import logger

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.flag_values import positive_seconds
from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue import BITFLYER, LIGHTER
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.logging_runtime import setup_runtime_logging
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.infra.watch.disk_watch import DiskWatch, watch_disks
from stall_then_strike.tapes.recorder import Product, ProductState, Recorder
from stall_then_strike.types.errors import ConfigError

_SETTINGS: Final = cli.CONFIGS / "paper.yml"
_LINE_S: Final = 60.0
_PRODUCT: Final = re.compile(r"([A-Z0-9][A-Z0-9_-]{2,30})(?::(0\.0*1|1))?")


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "record",
        "Record public channels to tapes. No keys, no orders.",
        ("", "the configured product, until Ctrl-C"),
        ("--duration 3600 --product FX_BTC_JPY --product ETH_JPY:1", "an hour of two products"),
        codes={
            0: "stopped in good order",
            1: "failed while recording, or a product never sent anything",
            2: "bad configuration or arguments",
            130: "stopped before recording began",
        },
    )
    cli.add_config_flags(flags, override="configs/paper.yml")
    cli.add_venue_flag(flags)
    flags.add_argument(
        "--product",
        metavar="CODE[:TICK]",
        type=_product,
        action="append",
        dest="products",
        help="product to record, with its price step if that is not exchange.tick_size (Lighter tells its own); may be "
        "repeated "
        "(default: exchange.product_code, or all instruments)",
    )
    flags.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("data/raw"), help="folder of the tapes (default: %(default)s)"
    )
    cli.add_log_dir(flags, "folder of logs", Path("logs/record"))
    flags.add_argument("--duration", metavar="SECONDS", type=positive_seconds, help="stop after this time")
    cli.add_check_flag(flags)
    return flags


@command("record")
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    flags = parser()
    args = flags.parse_args(argv)
    cfg, products = _load(args)
    cli.require_open_files()
    if cli.is_check(args, cfg):
        return EXIT_DONE
    codes = [product.code for product in products]
    with (
        cli.signals_held(),
        RunFolder(args.log_dir, cfg, "record", cfg.exchange.ws_url, instruments=codes) as run,
        setup_runtime_logging(run.files.runtime, cfg.log, console="WARNING"),
    ):
        run.exit_code = cli.run(_record(cfg, products, args.out, run, args.duration))
        return run.exit_code


def _load(args: argparse.Namespace) -> tuple[AppConfig, list[Product]]:
    """The settings and what to record. Raises ConfigError."""
    given: list[Product] = args.products or []
    codes = [product.code for product in given]
    if twice := {code for code in codes if codes.count(code) > 1}:
        raise ConfigError(f"--product {', '.join(sorted(twice))}: given more than once; accepted: each once")
    if given and args.venue == LIGHTER:  # the default market need not be there
        cfg = _of_markets(args, given)
    else:
        cfg = cli.load(args, _SETTINGS, takes_several=True)
        if given and cfg.exchange.name == BITFLYER:
            return cfg, given
        if given:
            cfg = _of_markets(args, given)
    return cfg, [Product(each.exchange.product_code, each.exchange.tick_size) for each in cfg.by_instrument()]


def _of_markets(args: argparse.Namespace, given: Sequence[Product]) -> AppConfig:
    """The settings with these markets of Lighter, by any of their names: the venue tells their units."""
    if own := [product.code for product in given if product.tick_size is not None]:
        raise ConfigError(f"--product {own[0]}: {LIGHTER} tells the price step; accepted: {own[0]} alone")
    chosen = f"instruments=[{', '.join(f'{{product_code: {product.code}}}' for product in given)}]"
    args.sets = [*args.sets, chosen]
    try:
        return cli.load(args, _SETTINGS, takes_several=True)
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"--set {chosen}", "--product")) from None


async def _record(
    cfg: AppConfig, products: Sequence[Product], out: Path, run: RunFolder, duration_s: float | None
) -> int:
    """Record until a signal, the end of the duration or a failure."""
    ending = Ending()
    names = ", ".join(product.code for product in products)
    cli.say(f"recording {names} from {cfg.exchange.ws_url} to {out}")
    logger.info("recording {} from {} to {}", names, cfg.exchange.ws_url, out)
    disks = DiskWatch((out, run.folder), cfg.watch.min_free_disk_mb)
    with cli.signals_heard(ending.on_signal):
        async with Recorder(cfg, products, out, SystemClock()) as recorder:
            async with asyncio.TaskGroup() as tasks:
                owned = [
                    tasks.create_task(recorder.wait_failed()),
                    tasks.create_task(_begin(recorder, run, float(cfg.ws.connect_timeout_sec))),
                    tasks.create_task(_tell(recorder)),
                    tasks.create_task(watch_disks(disks, logger.warning)),
                ]
                await ending.wait(duration_s)
                for task in owned:
                    task.cancel()
            recorder.stop(ending.why)
            states = recorder.states()
    run.why = ending.why
    return _finish(states, ending.why)


async def _begin(recorder: Recorder, run: RunFolder, limit_s: float) -> None:
    """Wait for the first complete books; from then on it is the run that was asked for."""
    await recorder.wait_ready(limit_s)
    run.begin()


async def _tell(recorder: Recorder) -> None:
    """Print one line a minute for each product."""
    while True:
        await asyncio.sleep(_LINE_S)
        for state in recorder.states():
            cli.say(_line(state))


def _finish(states: Sequence[ProductState], why: str) -> int:
    """Print the last lines. A product without a book or with lost frames makes the command fail."""
    code = EXIT_DONE
    for state in states:
        cli.say(_line(state))
        logger.info("{}", _line(state))
        if not state.has_book:
            sys.stderr.write(f"record: {state.product}: no book was recorded; {state.silence or 'no snapshot came'}\n")
            code = EXIT_FAILED
        if state.lost:
            sys.stderr.write(f"record: {state.product}: {state.lost} frames were lost: the disk was too slow\n")
            code = EXIT_FAILED
    cli.say(f"stopped: {why}")
    return code


def _line(state: ProductState) -> str:
    link = "connected" if state.is_connected else "NOT CONNECTED"
    checked = f"mid agreed {state.mid_agreed:,} of {state.mid_checked:,}" if state.mid_checked else "book known"
    book = checked if state.has_book else "no book yet"
    lost = f", {state.lost:,} LOST" if state.lost else ""
    return f"{state.product}: {state.messages:,} messages{lost}, {link}, {state.drops} drops, {book}"


def _product(text: str) -> Product:
    """A product, for argparse."""
    match = _PRODUCT.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a product; accepted: a code such as FX_BTC_JPY, or with its price step XRP_JPY:0.01"
        )
    return Product(match[1], None if match[2] is None else Decimal(match[2]))


if __name__ == "__main__":
    sys.exit(main())
