"""The pages. Each is made of parts that are drawn once for all who look at the same thing in the same language."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fastapi import Request
from nicegui import Client, ui

from stall_then_strike.app.view.snapshot import InstrumentSnapshot, Snapshot
from stall_then_strike.app.web.act_dialog import act_bar, html
from stall_then_strike.app.web.drawing import panes
from stall_then_strike.app.web.drawing.console_words import Words
from stall_then_strike.app.web.drawing.gauges import account_gauges, beat_line, health_lines, limit_gauges
from stall_then_strike.app.web.drawing.markup import Html, tag
from stall_then_strike.app.web.drawing.past_pane import past_pane
from stall_then_strike.app.web.drawing.plots import equity_chart, price_chart
from stall_then_strike.app.web.drawing.why_pane import why_pane
from stall_then_strike.app.web.front_door import choices, theme_of, words_of
from stall_then_strike.app.web.past_results import Result, by_day
from stall_then_strike.app.web.places import Places
from stall_then_strike.app.web.poller import Poller
from stall_then_strike.app.web.why_asking import WhyDesk
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.logs.runtime_reader import RuntimeLine
from stall_then_strike.types.dto import NS_PER_S

_EVERY_S: Final = 1.0
_LINKS: Final = {"overview": "/", "results": "/results", "log": "/log"}
_PATIENCE_S: Final = 45.0
"""How long a page that reads logs may take to be made."""
_SHORT_LOG: Final = 12
LONG_LOG: Final = 400
_NOTHING: Final = Html("")
_TO_THE_DOOR: Final = """setInterval(async () => {
  if (window.socket?.connected !== false) return;
  const answer = await fetch("/metrics").catch(() => null);
  if (answer?.status === 401) location.reload();
}, 3000)"""
"""A page whose session has ended, also by a new start of the console, goes to the log-in by itself."""


@dataclass(kw_only=True)
class Desk:
    """What all pages share."""

    poller: Poller
    clock: Clock
    places: Places
    why: WhyDesk
    log: tuple[RuntimeLine, ...] = ()
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _drawn: dict[tuple[str, str], tuple[tuple[int, int], Mapping[str, Html]]] = field(default_factory=dict)

    async def follow_log(self) -> None:
        """Read the last lines of the log now and then, in a thread; a task."""
        while True:
            if self.poller.is_watched():
                await self.read_log()
            await asyncio.sleep(2 * _EVERY_S)

    async def read_log(self) -> None:
        """Read its last lines now."""
        self.log = await asyncio.to_thread(self.places.log, LONG_LOG)

    async def results(self) -> list[Result]:
        """Results by day, read in a thread, one reader at a time."""
        products = self.products or ("",)
        day_of = TradingCalendar(self.places.cfg.session).day
        async with self._reading:
            return await asyncio.to_thread(lambda: by_day(self.places.trades(products), day_of))

    @property
    def products(self) -> tuple[str, ...]:
        """The run's instruments; none before the first answer."""
        run = self.poller.seen.snapshot
        return () if run is None else tuple(one.product for one in run.instruments)

    def drawn(self, words: Words, product: str) -> Mapping[str, Html]:
        """All parts of the overview, drawn once for each answer and second, language and instrument."""
        product = product if product in self.products else ""
        moment = (self.poller.seen.number, self.clock.now_ns() // NS_PER_S)
        made, parts = self._drawn.get((words.language, product), ((-1, -1), {}))
        if made != moment:
            parts = self._draw(words, product)
            self._drawn[words.language, product] = moment, parts
        return parts

    def _draw(self, words: Words, product: str) -> dict[str, Html]:
        seen = self.poller.seen
        parts = dict.fromkeys(PARTS, _NOTHING)
        parts["state"] = panes.state_pane(seen, self.clock.now_ns(), words, self.places.name)
        parts["log"] = panes.log_pane(self.log[-_SHORT_LOG:], words)
        if (run := seen.snapshot) is not None:
            parts |= self._of_run(run, _chosen(run, product), words)
        return parts

    def _of_run(self, run: Snapshot, one: InstrumentSnapshot, words: Words) -> dict[str, Html]:
        tracks = self.poller.tracks
        beat = [] if run.account is None else [beat_line(self.places.beat_age_s(self.clock.now_ns()), words)]
        return {
            "picks": panes.picks(run, one.product),
            "gauges": panes.gauges_pane(account_gauges(run, words), words),
            "market": panes.market_pane(one, price_chart(tracks.of(one.product), words), words),
            "depth": panes.depth_pane(one, words),
            "orders": panes.orders_pane(run, words),
            "fills": panes.fills_pane(one, words),
            "decisions": panes.decisions_pane(one, words),
            "limits": panes.limits_pane(limit_gauges(run, words), run.budget_wait, words),
            "health": panes.health_pane([*health_lines(run, words), *beat], words),
            "equity": panes.card(words("equity"), equity_chart(run.equity, words), cls="equity"),
        }


PARTS: Final = (
    "state", "picks", "gauges", "market", "depth", "orders", "fills", "decisions", "limits", "health", "equity", "log"
)  # fmt: skip
_ROWS: Final = (
    ("grid market", ("market", "depth")),
    ("grid three", ("equity", "limits", "health")),
    ("grid two", ("orders", "fills")),
    ("grid", ("decisions",)),
    ("grid", ("log",)),
)


def _chosen(run: Snapshot, product: str) -> InstrumentSnapshot:
    return next((one for one in run.instruments if one.product == product), run.instruments[0])


def add_pages(desk: Desk) -> None:
    """Register all pages."""

    @ui.page("/")
    async def overview(request: Request, client: Client, product: str = "") -> None:
        words = words_of(request)
        await desk.read_log()
        with _frame(request, words, "overview"):
            shown = {name: html(_NOTHING) for name in ("state", "picks")}
            act_bar(desk.poller, words)
            shown["gauges"] = html(_NOTHING)
            for classes, names in _ROWS:
                with ui.element("div").classes(classes):
                    shown |= {name: html(_NOTHING) for name in names}
        _live(client, desk, lambda: _refresh(shown, desk.drawn(words, product)))

    @ui.page("/log")
    async def log(request: Request, client: Client) -> None:
        words = words_of(request)
        await desk.read_log()
        with _frame(request, words, "log"):
            part = html(_NOTHING)
        _live(client, desk, lambda: _refresh({"log": part}, {"log": panes.log_pane(desk.log, words, is_short=False)}))

    @ui.page("/results", response_timeout=_PATIENCE_S)
    async def results(request: Request) -> None:
        words = words_of(request)
        days = await desk.results()
        with _frame(request, words, "results"):
            html(past_pane(days, desk.places.cfg.session.timezone, words), "stack")

    @ui.page("/why", response_timeout=_PATIENCE_S)
    async def why(request: Request, at: str = "", product: str = "") -> None:
        words = words_of(request)
        answer = await desk.why.ask(at, product if len(desk.products) > 1 else "")
        with _frame(request, words, "why"):
            html(why_pane(answer.story, answer.problem, words), "stack")


def is_watched() -> bool:
    """Whether a browser has a page open."""
    return any(client.has_socket_connection for client in Client.instances.values())


def _frame(request: Request, words: Words, here: str) -> ui.element:
    """The page around its parts."""
    theme, back = theme_of(request), _LINKS.get(here, "/")
    ui.add_head_html(f'<link rel="stylesheet" href="/console.css"><script>{_TO_THE_DOOR}</script>')
    ui.page_title(f"{words(here)} · {words('title')}")
    page = ui.element("main").classes(f"page theme-{theme}").props(f"lang={words.language}")
    links = (
        tag("a", words(name), href=path, aria_current="page" if name == here else None) for name, path in _LINKS.items()
    )
    leave = tag("form", tag("button", words("logout"), type="submit"), method="post", action="/logout")
    top = tag(
        "div",
        tag("h1", words("title")),
        tag("nav", *links),
        tag("div", choices(words, theme, back), leave, cls="tools"),
        cls="bar-top",
    )
    with page:
        html(top)
    return page


def _refresh(shown: Mapping[str, ui.html], parts: Mapping[str, Html]) -> None:
    """Send the parts that have changed; of a slow reader's parts only the latest is kept."""
    for name, part in shown.items():
        part.set_content(parts[name])


def _live(client: Client, desk: Desk, refresh: Callable[[], None]) -> None:
    """Refresh a page while somebody looks at it."""

    refresh()
    client.on_connect(desk.poller.hurry)
    ui.timer(_EVERY_S, refresh)
