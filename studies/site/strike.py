"""The pictures of a strike's life, as SVG: what stands still, what is sent, and the two ways in which it ends.

Each brings its own light ground, so that it can be read on a dark page too. Their figures are the default settings'.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from stall_then_strike.config.models import AppConfig
from studies.site.drawn import DOCS
from studies.svg import COLOURS

FOLDER: Final = DOCS / "images"
WIDTH, HEIGHT = 450, 448
_GROUND, _INK, _MUTED, _GRID = "#fcfcfa", "#1b1f24", "#596372", "#e2e6ea"
_BOOK, _SELL, _BUY, _GOOD = _MUTED, COLOURS[1], COLOURS[0], COLOURS[2]
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
Point = tuple[float, float]


def pictures() -> dict[Path, str]:
    """Each picture and its file."""
    return {
        FOLDER / "strike-cancelled.svg": _framed(
            "A strike that nobody trades with",
            "The best prices stand still, two quotes are sent, and both are cancelled when the best moves or in time.",
            _unfilled(),
            0,
        ),
        FOLDER / "strike-filled.svg": _framed(
            "A strike that is filled",
            "One quote is filled, the price goes against the position, and it is closed at market.",
            _filled(),
            WIDTH,
        ),
    }


def _framed(title: str, told: str, parts: Sequence[str], left: float) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left:g} 0 {WIDTH} {HEIGHT}" role="img" '
    return "\n".join(
        [
            f'{head}width="{WIDTH}" height="{HEIGHT}" font-family="{_FONT}">',
            f"<title>{title}</title>",
            f"<desc>{told}</desc>",
            f'<rect x="{left:g}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{_GROUND}"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _unfilled() -> list[str]:
    """Most strikes: nobody trades with the quotes."""
    cfg = AppConfig().strategy
    ask = [(30, 118), (80, 118), (80, 132), (330, 132), (330, 108), (420, 108)]
    bid = [(30, 262), (80, 262), (80, 248), (330, 248), (330, 230), (420, 230)]
    return [
        _text(30, 40, "Most strikes: nobody trades with the quotes", bold=True),
        _text(30, 62, "time goes from left to right, prices from bottom to top", colour=_MUTED),
        *_book(ask, bid, [(80, 190), (330, 190)]),
        _text(86, 124, "best ask", colour=_MUTED),
        _text(86, 266, "best bid", colour=_MUTED),
        _text(86, 184, "mid", colour=_MUTED),
        _quote(180, 330, 178, _SELL, "sell"),
        _quote(180, 330, 202, _BUY, "buy"),
        _cross(330, 178, _SELL),
        _cross(330, 202, _BUY),
        _mark(130, 290, 1),
        _mark(180, 290, 2),
        _mark(330, 290, 3),
        *_span(80, 180, 312, f"stall_T_ms {cfg.stall_T_ms}"),
        *_span(180, 330, 312, f"at most ttl_ms {cfg.ttl_ms}"),
        *_legend(
            30,
            [
                (1, "The best prices stand still, and the spread is wide enough."),
                (2, "Strike: one limit order on each side of the mid."),
                (3, "The best moves, or the time is over: both are cancelled."),
            ],
        ),
    ]


def _filled() -> list[str]:
    """A fill, and the way out."""
    cfg = AppConfig().strategy
    ask = [(480, 132), (650, 132), (650, 150), (730, 150), (730, 172), (870, 172)]
    bid = [(480, 248), (650, 248), (650, 264), (730, 264), (730, 276), (870, 276)]
    mid = [(480, 190), (650, 190), (650, 207), (730, 207), (730, 224), (870, 224)]
    return [
        _text(480, 40, "Some strikes: one quote is filled", bold=True),
        _text(480, 62, "its position is held until the price goes against it", colour=_MUTED),
        *_book(ask, bid, mid),
        _quote(510, 650, 178, _SELL, "sell"),
        _quote(510, 580, 202, _BUY, "buy"),
        _cross(650, 178, _SELL),
        f'<circle cx="580" cy="202" r="6" fill="{_GOOD}"/>',
        f'<line x1="586" y1="202" x2="800" y2="202" stroke="{_GOOD}" stroke-dasharray="2 4" stroke-width="2"/>',
        _text(806, 200, "average price", colour=_GOOD, size=11),
        _text(806, 240, "mid", colour=_MUTED, size=11),
        f'<line x1="760" y1="202" x2="760" y2="220" stroke="{_INK}" stroke-width="2"/>',
        f'<path d="M755 216 L760 224 L765 216 Z" fill="{_INK}"/>',
        f'<circle cx="780" cy="276" r="6" fill="{_INK}"/>',
        f'<line x1="780" y1="206" x2="780" y2="268" stroke="{_INK}" stroke-width="1.5" stroke-dasharray="4 3"/>',
        _mark(580, 290, 4),
        _mark(650, 290, 5),
        _mark(780, 300, 6),
        *_span(580, 780, 318, "long position"),
        *_legend(
            480,
            [
                (4, "Fill: a taker sells to the buy quote. A position is open."),
                (5, "The best moves: the other quote is cancelled."),
                (6, f"The mid is max_reverse_ticks ({cfg.max_reverse_ticks}) against it: close."),
            ],
        ),
    ]


def _book(ask: Sequence[Point], bid: Sequence[Point], mid: Sequence[Point]) -> list[str]:
    return [
        _line(ask, _BOOK),
        _line(bid, _BOOK),
        _line(mid, _BOOK, dashed=True),
    ]


def _line(points: Sequence[Point], colour: str, *, dashed: bool = False) -> str:
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    dash = ' stroke-dasharray="5 5" stroke-width="1.2"' if dashed else ' stroke-width="2"'
    return f'<polyline points="{path}" fill="none" stroke="{colour}"{dash}/>'


def _quote(begin: float, end: float, y: float, colour: str, word: str) -> str:
    line = f'<line x1="{begin:g}" y1="{y:g}" x2="{end:g}" y2="{y:g}" stroke="{colour}" stroke-width="4"/>'
    return line + _text(begin + 6, y - 6 if word == "sell" else y + 16, word, colour=colour, size=11)


def _cross(x: float, y: float, colour: str) -> str:
    path = f"M{x - 5:g} {y - 5:g} L{x + 5:g} {y + 5:g} M{x + 5:g} {y - 5:g} L{x - 5:g} {y + 5:g}"
    return f'<path d="{path}" stroke="{colour}" stroke-width="2.5"/>'


def _mark(x: float, y: float, number: int) -> str:
    ring = f'<circle cx="{x:g}" cy="{y:g}" r="10" fill="{_INK}"/>'
    return ring + _text(x, y + 4, str(number), colour=_GROUND, anchor="middle", bold=True, size=12)


def _span(begin: float, end: float, y: float, words: str) -> list[str]:
    """A bracket below the picture: how long something lasts."""
    path = f"M{begin:g} {y - 6:g} V{y:g} H{end:g} V{y - 6:g}"
    return [
        f'<path d="{path}" fill="none" stroke="{_INK}" stroke-width="1.2"/>',
        _text((begin + end) / 2, y + 16, words, anchor="middle", size=12),
    ]


def _legend(x: float, lines: Sequence[tuple[int, str]]) -> list[str]:
    parts = []
    for at, (number, words) in enumerate(lines):
        y = 370 + 28 * at
        parts += [_mark(x + 10, y - 4, number), _text(x + 28, y, words, size=12.5)]
    return parts


def _text(
    x: float, y: float, words: str, *, colour: str = _INK, anchor: str = "start", bold: bool = False, size: float = 12
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{colour}" font-size="{14 if bold and anchor == "start" else size:g}" '
        f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
    )
