"""All speed figures of the project with their goals, in sections that are measured one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from benchmarks import (
    board_to_decision,
    cryptofeed_book,
    idle,
    journal_record,
    light,
    lighter_data,
    live_latency,
    messages,
    path,
)
from benchmarks.rows import Figure, Reading, Section

Readings = Mapping[str, Reading | str]
_NS_PER_US: Final = 1e3
_NS_PER_MS: Final = 1e6
ORDERS: Final = ("first order", "both orders")


# --- From frame to bytes, in our process ----------------------------------------------------------------------------

STRIKE_PATH: Final = [
    Figure(
        key=f"{kind} {order}",
        name=f"in process: message → {order}, {kind}",
        unit="µs",
        goal={"warm": 150, "cold": 400}[kind],
        japanese=japanese,
    )
    for kind, order, japanese in (
        ("warm", "first order", ""),
        ("warm", "both orders", "プロセス内、受信から両注文の送信まで、連続時"),
        ("cold", "first order", ""),
        ("cold", "both orders", "プロセス内、受信から両注文の送信まで、100 ms 間隔"),
    )
]


def strike_path(quick: bool) -> Readings:
    """A strike through our own process."""
    cold, warm = path.measure(20 if quick else 80)
    return {
        f"{kind} {one.name}": Reading(value=one.median_ns / _NS_PER_US, p99=one.p99_ns / _NS_PER_US)
        for kind, shares in (("cold", cold), ("warm", warm))
        for one in shares
        if one.name in ORDERS
    }


# --- From the exchange's message to its receipt ---------------------------------------------------------------------

_BARE: Final = "a loop that only sends"
LIVE: Final = [
    *(
        Figure(
            key=f"{setting} {order}",
            name=f"at exchange: {cause} → {order}",
            unit="ms",
            beside="plain loop",
            goal={"first order": 0.7, "both orders": 0.9}[order],
            p99_goal=2,
            ratio_goal=1,
            japanese=japanese,
        )
        for setting, cause, order, japanese in (
            (live_latency.BY_MESSAGE.name, "message", "first order", "取引所側、配信から最初の注文まで"),
            (live_latency.BY_MESSAGE.name, "message", "both orders", "取引所側、配信から両注文まで"),
            (live_latency.BY_MATURITY.name, "stall mature", "first order", "取引所側、静止の成立から最初の注文まで"),
            (live_latency.BY_MATURITY.name, "stall mature", "both orders", "取引所側、静止の成立から両注文まで"),
        )
    ),
    *(Figure(key=order + _BARE, name=f"{_BARE}: message → {order}", unit="ms") for order in ORDERS),
]


def live(quick: bool) -> Readings:
    """Exchange to exchange."""
    found: dict[str, Reading | str] = {}
    for setting in (live_latency.BY_MESSAGE, live_latency.BY_MATURITY):
        each = live_latency.compare(setting, 15 if quick else 30)
        for order, attribute in zip(ORDERS, ("first", "whole"), strict=True):
            ours, plain = getattr(each.daemon, attribute), getattr(each.stock, attribute)
            found[f"{setting.name} {order}"] = Reading(
                value=ours.median_ns / _NS_PER_MS,
                p99=ours.p99_ns / _NS_PER_MS,
                other=plain.median_ns / _NS_PER_MS,
                other_p99=plain.p99_ns / _NS_PER_MS,
            )
            if each.bare is not None:
                bare = getattr(each.bare, attribute)
                found[order + _BARE] = Reading(value=bare.median_ns / _NS_PER_MS, p99=bare.p99_ns / _NS_PER_MS)
    return found


# --- From text to decision ------------------------------------------------------------------------------------------

LOADS: Final = ("600 levels", "2,000 levels", "recorded")
_EVERY: Final = ", at every change"
DECISION: Final = [
    *(
        Figure(
            key=load,
            name=f"text → decision, {load}",
            unit="µs",
            beside="pybotters",
            goal=10,
            p99_goal=40,
            japanese={"600 levels": "メッセージから判断まで、600 本の板"}.get(load, ""),
        )
        for load in LOADS
    ),
    *(
        Figure(
            key=load + _EVERY,
            name=f"the same beside every change, {load}",
            unit="µs",
            beside="pybotters",
        )
        for load in LOADS
    ),
    Figure(key="journal", name="a step into the journal", unit="µs", beside="to the disk"),
]


def decision(quick: bool) -> Readings:
    """Board message to decision."""
    count = 300 if quick else 3_000
    found: dict[str, Reading | str] = dict.fromkeys((f.key for f in DECISION), "no recorded tape")
    for name, load in zip(
        LOADS, (messages.made(300, count), messages.made(1_000, count), messages.recorded()), strict=True
    ):
        if load is None:
            continue
        one = board_to_decision.compare(load, count)
        for suffix, other in (("", one.stock), (_EVERY, one.every_change)):
            found[name + suffix] = Reading(
                value=one.ours.median_ns / _NS_PER_US,
                p99=one.ours.p99_ns / _NS_PER_US,
                other=other.median_ns / _NS_PER_US,
                other_p99=other.p99_ns / _NS_PER_US,
            )
    written = journal_record.compare(50 if quick else 500, Path())
    found["journal"] = Reading(
        value=written.median_ns / _NS_PER_US,
        p99=written.p99_ns / _NS_PER_US,
        other=written.disk_median_ns / _NS_PER_US,
        other_p99=written.disk_p99_ns / _NS_PER_US,
    )
    return found


# --- Beside cryptofeed ----------------------------------------------------------------------------------------------

_DECIDED: Final = "best and decision"
BOOKS: Final = [
    Figure(
        key=load + decided,
        name=f"text → {decided or 'best prices'}, {load}",
        unit="/s",
        beside="cryptofeed",
        goal=62_000,
        is_rate=True,
        japanese={"600 levels": "板の更新の速さ、600 本"}.get(load + decided, ""),
    )
    for decided in ("", _DECIDED)
    for load in LOADS[:2]
]


def books(quick: bool) -> Readings:
    """Board messages a second."""
    found: dict[str, Reading | str] = {}
    for name, levels in zip(LOADS, (300, 1_000), strict=False):
        load = messages.made(levels, 300 if quick else 3_000)
        rates = cryptofeed_book.compare(load)
        for key, value in ((name, rates.ours), (name + _DECIDED, rates.decided)):
            found[key] = Reading(value=value, other=rates.cryptofeed, why_alone=rates.why_not)
    return found


# --- Research -------------------------------------------------------------------------------------------------------

_NO_HFTBACKTEST: Final = "hftbacktest is not installed: scripts/setup crosscheck"
_CHANGES: Final = "M changes/s"
RESEARCH: Final = [
    Figure(
        key="first",
        name="first replay, compiled for the machine",
        unit="s",
        goal=30,
        japanese="最初のリプレイ、コンパイルを含む",
    ),
    Figure(key="later", name="a later one, from its process's start", unit="s"),
    Figure(key="preparation", name="preparation of a tape", unit="s", beside="orjson"),
    Figure(key="interpreted", name="interpreted replay, by medians", unit=_CHANGES, goal=0.3, is_rate=True),
    Figure(
        key="by time",
        name="interpreted replay, by processor time",
        unit=_CHANGES,
        goal=0.3,
        is_rate=True,
        japanese="インタープリターでのリプレイ",
    ),
    Figure(key="compiled", name="compiled replay", unit=_CHANGES, beside="hftbacktest", is_rate=True),
    Figure(
        key="set",
        name="a set of a sweep",
        unit="ms",
        beside="hftbacktest",
        ratio_goal=4,
        japanese="パラメーター探索の 1 組",
    ),
    Figure(key="work", name="a sweep's runs, on 8 processes", unit="s", beside="on one"),
    Figure(key="share", name="of them, most on one process", unit="%"),
    Figure(key="memory", name="memory of each process", unit="MB", beside="of one", ratio_goal=0.9),
]


def research(quick: bool) -> Readings:
    """Replays of a generated tape, and sweeps."""
    from benchmarks import replays, sweep_work  # these need the extra research

    hours = 0.2 if quick else replays.HOURS
    own, prepared = (one := replays.measure(hours)), one.preparation
    found: dict[str, Reading | str] = {
        "first": Reading(value=own.first_s),
        "later": Reading(value=own.later_s),
        "preparation": Reading(value=prepared.ours_s, other=prepared.orjson_s),
        "interpreted": Reading(value=own.interpreted / 1e6),
        "by time": Reading(value=own.interpreted_by_time / 1e6),
        "compiled": Reading(value=own.compiled / 1e6, why_alone=_NO_HFTBACKTEST),
        "set": _NO_HFTBACKTEST,
    }
    with suppress(ModuleNotFoundError):
        other = replays.beside(hours)
        found["compiled"] = Reading(value=own.compiled / 1e6, other=other.roi / 1e6)
        found["set"] = Reading(value=other.set_s * 1e3, other=other.their_set_s * 1e3)
    one_process, eight = sweep_work.compare(0.2 if quick else 1, 20 if quick else 200, (1, 8))
    found["work"] = Reading(value=eight.runs_s, other=one_process.runs_s)
    found["share"] = Reading(value=eight.shares[1] * 100)
    found["memory"] = Reading(value=eight.peak_mb, other=one_process.peak_mb)
    return found


# --- Light ----------------------------------------------------------------------------------------------------------

WEIGHT: Final = [
    Figure(
        key="demo", name="make demo, from nothing to its end", unit="s", goal=60, japanese="make demo、何もない状態から"
    ),
    Figure(key="set-up", name="its set-up", unit="s"),
    Figure(key="disk", name="its folder, on the disk", unit="MB", goal=250),
    Figure(key="help", name="sts --help", unit="s", goal=0.3),
    Figure(key="page", name="page of a report", unit="MB", goal=1.5),
]


def weight(quick: bool) -> Readings:
    """What is installed, started and written."""
    demo, page = light.demo(), light.page(0.1 if quick else 1)
    made: Readings = (
        dict.fromkeys(("demo", "set-up", "disk"), demo)
        if isinstance(demo, str)
        else {
            "demo": Reading(value=demo.seconds),
            "set-up": Reading(value=demo.set_up_s),
            "disk": Reading(value=demo.megabytes),
        }
    )
    return {
        **made,
        "help": Reading(value=light.help_s()),
        "page": page if isinstance(page, str) else Reading(value=page),
    }


IDLE: Final = [
    Figure(key="core", name="run_live that only looks", unit="% of a core", goal=2, japanese="様子見中の CPU 使用率"),
    Figure(key="memory", name="its memory", unit="MB", goal=90, japanese="そのメモリー"),
    Figure(key="message", name="its processor time by messages", unit="µs"),
    Figure(key="wake-ups", name="its wake-ups", unit="/s"),
]


def at_rest(quick: bool) -> Readings:
    """What a run takes that has nothing to do."""
    looking = idle.measure(idle.QUICK_S if quick else idle.SECONDS / 3)
    return {
        "core": Reading(value=100 * looking.core_share),
        "memory": Reading(value=looking.rss_end_mb),
        "message": Reading(value=looking.us_per_message),
        "wake-ups": Reading(value=looking.wake_ups_per_s),
    }


# --- Lighter --------------------------------------------------------------------------------------------------------

ON_LIGHTER: Final = [
    Figure(key="lag", name="Lighter: 100 markets, sent → handled", unit="ms"),
    Figure(key="lost", name="Lighter: lost messages, wrong books", unit="", goal=0),
    Figure(key="updates", name="Lighter: book updates", unit="/s", beside="SDK", is_rate=True),
    Figure(key="batched", name="Lighter: orders in batches", unit="/s", beside="SDK", is_rate=True),
    Figure(key="single", name="Lighter: orders one by one", unit="/s", beside="SDK", is_rate=True),
    Figure(key="own", name="Lighter: call → bytes, less signature", unit="µs", beside="signing"),
]


def on_lighter(quick: bool) -> Readings:
    """Market data and orders at Lighter."""
    lags = lighter_data.lags(changes=30 if quick else None)
    found: dict[str, Reading | str] = {
        "lag": Reading(value=lags.median_ms, p99=lags.p99_ms),
        "lost": Reading(value=lags.lost),
    }
    try:
        from benchmarks import lighter_orders

        rates = lighter_data.rates(sdk_updates=3 if quick else lighter_data.SDK_UPDATES, updates=40 if quick else 228)
        orders = lighter_orders.measure(100 if quick else 1_000)
    except ModuleNotFoundError as error:  # the extra is not installed
        return {**dict.fromkeys((f.key for f in ON_LIGHTER), str(error)), **found}
    found["updates"] = Reading(value=rates.ours, other=rates.sdk)
    found["batched"] = Reading(value=orders.batched, other=orders.sdk)
    found["single"] = Reading(value=orders.single, other=orders.sdk)
    found["own"] = Reading(value=orders.own_us, other=orders.signing_us)
    return found


SECTIONS: Final[Sequence[Section]] = (
    Section(key="path", title="a strike in our own process", figures=STRIKE_PATH, measure=strike_path),
    Section(key="live", title="exchange to exchange", figures=LIVE, measure=live),
    Section(key="decision", title="message to decision", figures=DECISION, measure=decision),
    Section(key="books", title="messages a second", figures=BOOKS, measure=books),
    Section(key="research", title="replays", figures=RESEARCH, measure=research),
    Section(key="weight", title="what is installed, started and written", figures=WEIGHT, measure=weight),
    Section(key="idle", title="a run that only looks", figures=IDLE, measure=at_rest),
    Section(key="lighter", title="at Lighter", figures=ON_LIGHTER, measure=on_lighter),
)
