"""Run all measurements and print them; ``--quick`` takes a tenth of the messages."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from loguru import logger

from benchmarks import (
    board_to_decision,
    cryptofeed_book,
    journal_record,
    lighter_data,
    live_latency,
    loopback_latency,
    messages,
    path,
)
from stall_then_strike.types.errors import ConfigError


def machine() -> str:
    """What the figures are of."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        named = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model n")
        ]
        model = f"{len(named)} x {named[0]}" if named else model
    return (
        f"{model}; {platform.python_implementation()} {platform.python_version()}, {platform.system()}; "
        f"pybotters {version('pybotters')}, aiohttp {version('aiohttp')}, orjson {version('orjson')}"
    )


def decisions(quick: bool) -> None:
    """Board message to decision."""
    loads = [messages.made(levels, 300 if quick else 3_000) for levels in (300, 1_000)]
    if (tape := messages.recorded()) is not None:
        loads.append(tape)
    print("board message text -> decision, microseconds a message: median (p99)\n")
    print(f"{'load':<20}{'ours':>16}{'stock':>20}{'times':>7}{'every change':>22}{'times':>7}")
    for load in loads:
        result = board_to_decision.compare(load)
        cells = [
            f"{timing.median_ns / 1e3:,.1f} ({timing.p99_ns / 1e3:,.1f})"
            for timing in (result.ours, result.stock, result.every_change)
        ]
        print(
            f"{result.load:<20}{cells[0]:>16}{cells[1]:>20}{result.times_stock:>7.0f}"
            f"{cells[2]:>22}{result.times_every_change:>7.0f}"
        )


def beside_cryptofeed(quick: bool) -> None:
    """Books of two projects."""
    print("\nboard messages a second, text -> best prices:")
    for levels in (300, 1_000):
        load = messages.made(levels, 300 if quick else 3_000)
        result = cryptofeed_book.compare(load)
        if isinstance(result, str):
            print(f"beside cryptofeed: not measured ({result})")
            return
        print(
            f"{result.load:<20} ours {result.ours:,.0f}, cryptofeed {result.cryptofeed:,.0f} "
            f"({result.ours / result.cryptofeed:.1f} times)"
        )


def strike_path(quick: bool) -> None:
    """A strike, stage by stage."""
    print()
    path.show(40 if quick else 200)


def loopback(quick: bool) -> None:
    """Exchange to executor."""
    result = loopback_latency.measure(30 if quick else 300)
    print(f"\nexchange's send -> OrderExecutor.execute over loopback, {result.strikes} strikes, {result.loop}:")
    print(f"median {result.median_ns / 1e3:,.0f} us, p99 {result.p99_ns / 1e3:,.0f} us")


def journal(quick: bool) -> None:
    """A step's record, on the disk that holds this folder."""
    result = journal_record.compare(50 if quick else 500, Path())
    print(f"\na step's changes -> journal, {result.records} records, microseconds: median (p99)")
    print(
        f"ours {result.median_ns / 1e3:,.0f} ({result.p99_ns / 1e3:,.0f}), waiting for the disk "
        f"{result.disk_median_ns / 1e3:,.0f} ({result.disk_p99_ns / 1e3:,.0f}): {result.times:,.0f} times as long"
    )


def live(quick: bool) -> None:
    """Exchange to exchange."""
    seconds = 15 if quick else 90
    print(f"\nexchange's board message -> its receipt of the order, {seconds} s for each trader, us: median (p99)\n")
    print(f"{'strike possible':<16}{'trader':<16}{'strikes':>8}{'first order':>22}{'whole strike':>22}{'exchange':>10}")
    for setting in (live_latency.BY_MESSAGE, live_latency.BY_MATURITY):
        result = live_latency.compare(setting, seconds)
        for name, trader in (("run_live", result.daemon), ("stock", result.stock)):
            cells = [f"{t.median_ns / 1e3:,.0f} ({t.p99_ns / 1e3:,.0f})" for t in (trader.first, trader.whole)]
            own = f"{trader.exchange_ns / 1e3:,.0f}"
            print(f"{setting.name:<16}{name:<16}{trader.strikes:>8}{cells[0]:>22}{cells[1]:>22}{own:>10}")
        pairs = ((result.daemon.first, result.stock.first), (result.daemon.whole, result.stock.whole))
        times = [f"{stock.median_ns / ours.median_ns:.1f} ({stock.p99_ns / ours.p99_ns:.1f})" for ours, stock in pairs]
        print(f"{'':<16}{'times':<24}{times[0]:>22}{times[1]:>22}")


def orders_on_lighter(quick: bool) -> None:
    """The adapter for Lighter beside the SDK's own client."""
    try:
        from benchmarks import lighter_orders

        result = lighter_orders.measure(100 if quick else 1_000)
    except (ModuleNotFoundError, ConfigError) as error:
        print(f"\norders on Lighter: not measured ({error})")
        return
    print(f"\nsigned orders a second on Lighter over loopback, {result.orders} orders each, best of three:")
    print(f"in batches {result.batched:,.0f}, one by one {result.single:,.0f}, the SDK's own client {result.sdk:,.0f}")
    print(
        f"from the call to the signed bytes, an order: ours {result.own_us:,.0f} us, "
        f"the SDK's library {result.signing_us:,.0f} us; our share {result.own_share:.1%}"
    )


def data_on_lighter(quick: bool) -> None:
    """Market data of a hundred markets of Lighter on one connection."""
    lags = lighter_data.lags(changes=30 if quick else None)
    print(
        f"\n{lighter_data.MARKETS} markets of Lighter on one connection, {lags.messages:,} messages ({lags.source}) "
        f"at {lags.per_s:,.0f} a second, ten times the captured rate:"
    )
    print(
        f"lost {lags.lost}; sent -> handled, ms: median {lags.median_ms:.2f}, p99 {lags.p99_ms:.1f}, "
        f"longest {lags.most_ms:.1f}"
    )
    try:
        rates = lighter_data.rates(sdk_updates=3 if quick else lighter_data.SDK_UPDATES, updates=40 if quick else 228)
    except ModuleNotFoundError as error:
        print(f"book updates beside the SDK's client: not measured ({error})")
        return
    print(
        f"book updates a second: ours {rates.ours:,.0f}, the SDK's own client {rates.sdk:,.0f} "
        f"({rates.times:,.0f} times, {rates.updates:,} updates each); "
        f"ours over {rates.long_updates:,} updates {rates.long:,.0f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages: coarser figures in seconds")
    quick: bool = parser.parse_args(arguments).quick
    logger.remove()
    print(f"{machine()}\n")
    decisions(quick)
    beside_cryptofeed(quick)
    loopback(quick)
    strike_path(quick)
    journal(quick)
    orders_on_lighter(quick)
    data_on_lighter(quick)
    live(quick)


if __name__ == "__main__":
    main()
