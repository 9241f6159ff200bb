"""Parts of pages are well-formed and escaped, whatever a run shows, in both languages."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from stall_then_strike.app.view.snapshot import DecisionLine, Fill, Level, Snapshot
from stall_then_strike.app.web.drawing import panes
from stall_then_strike.app.web.drawing.console_words import LANGUAGES, Words
from stall_then_strike.app.web.drawing.gauges import account_gauges, health_lines, limit_gauges
from stall_then_strike.app.web.drawing.markup import Html, tag
from stall_then_strike.app.web.drawing.plots import equity_chart, price_chart
from stall_then_strike.app.web.drawing.why_pane import why_pane
from stall_then_strike.app.web.poller import Seen
from stall_then_strike.app.web.tracks import MINUTES, Track, Tracks
from stall_then_strike.infra.logs.runtime_reader import RuntimeLine
from stall_then_strike.types.dto import NS_PER_S, Side
from tests.app.view.snapshots import BAD, EMPTY, FULL, LIVE, TS, TWO, changed

EVIL = "<script>alert(1)</script>&\"'"


class Checked(HTMLParser):
    """Fails for an element that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, name: str, attrs: object) -> None:
        self.names.add(name)
        self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name


def all_panes(run: Snapshot, words: Words) -> Html:
    tracks = Tracks()
    tracks.add(run)
    tracks.add(replace(run, ts_ns=run.ts_ns + NS_PER_S))
    one = run.instruments[0]
    seen = Seen(snapshot=run, at_ns=TS)
    line = RuntimeLine(ts_ns=TS, level="ERROR", text=EVIL)
    return Html(
        "".join(
            (
                panes.state_pane(seen, TS + NS_PER_S, words),
                panes.state_pane(replace(seen, problem=EVIL), TS, words),
                panes.state_pane(replace(seen, problem=EVIL, other=EVIL), TS, words),
                panes.state_pane(Seen(problem=EVIL, other=EVIL), TS, words),
                panes.picks(run, one.product),
                panes.gauges_pane(account_gauges(run, words), words),
                panes.market_pane(one, price_chart(tracks.of(one.product), words), words),
                panes.depth_pane(one, words),
                panes.orders_pane(run, words),
                panes.decisions_pane(one, words),
                panes.fills_pane(one, words),
                panes.limits_pane(limit_gauges(run, words), run.budget_wait, words),
                panes.health_pane(health_lines(run, words), words),
                panes.card(words("equity"), equity_chart(run.equity, words)),
                panes.log_pane([line], words),
            )
        )
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("seen", [EMPTY, FULL, LIVE, BAD, TWO])
def test_every_snapshot_can_be_drawn(seen: Snapshot, language: str) -> None:
    assert "script" not in Checked(all_panes(seen, Words(language))).names


def test_texts_of_the_run_are_texts() -> None:
    run = changed(
        replace(LIVE, mode=EVIL, budget_wait=EVIL),
        product=EVIL,
        decisions=(DecisionLine(ts_ns=TS, decision_type=EVIL, reason=EVIL, detail=EVIL),),
        fills=(Fill(ts_ns=TS, side=Side.BUY, price=Decimal(1), size=Decimal(1), pnl=Decimal(1), tag=EVIL),),
    )
    drawn = all_panes(run, Words("en"))
    assert "script" not in Checked(drawn).names
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#x27;" in drawn


def test_attributes_are_escaped_and_html_is_kept() -> None:
    assert tag("a", tag("b", "<"), href='"><i>', title=None) == '<a href="&quot;&gt;&lt;i&gt;"><b>&lt;</b></a>'


def test_no_meaning_by_colour_alone() -> None:
    drawn = panes.fills_pane(LIVE.instruments[0], Words("en"))
    assert ("▲ buy" in drawn) or ("▼ sell" in drawn)
    assert "■" in panes.health_pane(health_lines(BAD, Words("en")), Words("en"))


def test_depth_marks_our_own_level() -> None:
    order = LIVE.instruments[0].orders[0]
    assert order.price is not None
    one = replace(LIVE.instruments[0], bids=(Level(price=order.price, size=Decimal(1)),), asks=())
    own = panes.depth_pane(one, Words("en"))
    other = panes.depth_pane(replace(one, orders=()), Words("en"))
    assert (own.count("◆"), other.count("◆")) == (2, 1)  # one is the legend's


def test_prices_of_a_column_have_the_same_decimals() -> None:
    levels = tuple(Level(price=Decimal(text), size=Decimal(1)) for text in ("135.05", "135.049", "135"))
    drawn = panes.depth_pane(replace(LIVE.instruments[0], bids=levels, asks=()), Words("en"))
    assert [text in drawn for text in (">135.050<", ">135.049<", ">135.000<")] == [True] * 3


def test_price_chart_has_a_line_and_a_mark_for_each_fill() -> None:
    track, fill = Track(), Fill(ts_ns=TS, side=Side.SELL, price=Decimal(9), size=Decimal(1), pnl=Decimal(0))
    tracks = Tracks()
    one = changed(FULL, best_bid=Decimal(10), best_ask=Decimal(12), fills=(fill,), orders=())
    for second in range(3):
        tracks.add(replace(one, ts_ns=TS + second * NS_PER_S))
    track = tracks.of(FULL.instruments[0].product)
    drawn = price_chart(track, Words("en"))
    assert drawn.count('class="mark sell"') == 1
    assert 'class="mid"' in drawn
    assert [point.mid for point in track.points] == [11, 11, 11]


def test_tracks_forget_what_is_old_and_begin_anew_when_time_goes_back() -> None:
    tracks, product = Tracks(), FULL.instruments[0].product
    for minute in range(2 * MINUTES):
        tracks.add(replace(FULL, ts_ns=TS + minute * 60 * NS_PER_S))
    assert len(tracks.of(product).points) == MINUTES + 1
    tracks.add(replace(FULL, ts_ns=TS))
    assert len(tracks.of(product).points) == 1
    assert not tracks.of("another").points


def test_an_answer_of_why_is_drawn_and_so_is_none() -> None:
    story = {
        "asked": "now",
        "found": True,
        "zero": "2026-11-30T19:49:19.276374Z",
        "runs": [EVIL],
        "notes": [EVIL],
        "verdict": EVIL,
        "holds": [{"from": "2026-11-30T19:49:19.276374Z", "text": EVIL}],
        "timeline": [
            {
                "ts": "2026-11-30T19:49:19.276374Z",
                "what": EVIL,
                "text": EVIL,
                "order": "k-1",
                "out_of_the_ordinary": True,
            }
        ],
    }
    drawn = why_pane(story, "", Words("en"))
    assert "script" not in Checked(drawn).names
    assert 'href="/why?at=k-1"' in drawn
    assert "could not be answered" in why_pane(None, "no", Words("en"))
    assert "Another question" in why_pane(None, "busy", Words("en"))
