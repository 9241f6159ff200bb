"""The report of a probe or a rehearsal: a Markdown file fit to be sent to others, and a short form for the terminal."""

from __future__ import annotations

import platform
import textwrap
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from stall_then_strike import __version__
from stall_then_strike.app.contact.assumed.deviations import Deviation, Deviations
from stall_then_strike.app.contact.watching import Figures
from stall_then_strike.types.errors import LogError
from stall_then_strike.types.text import utc_iso

_LIBRARIES: Final = ("pybotters", "aiohttp")
_INDENT: Final = 9


def report_text(
    title: str, where: str, now_ns: int, figures: Figures | None, found: Deviations, steps: Sequence[str] = ()
) -> str:
    """The report. ``steps`` are lines about what was done, for a rehearsal."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    lines = [
        f"# {title}",
        "",
        f"- of {utc_iso(now_ns)[:19]}Z, {where}",
        f"- by stall_then_strike {__version__}, Python {platform.python_version()}, {libraries}",
        "- secrets, ids and amounts of the account are masked: digits of ids are counted anew, amounts left out",
        "",
        *(["## Steps", "", *(f"- {step}" for step in steps), ""] if steps else []),
        *([] if figures is None else ["## Figures", "", *(f"- {line}" for line in figure_lines(figures)), ""]),
        f"## {count_words(found)}",
        "",
    ]
    for deviation in found:
        lines += _section(deviation)
    if found.left_out:
        lines += [f"{found.left_out:,} deviations of further kinds were left out.", ""]
    return "\n".join(lines)


def _section(one: Deviation) -> list[str]:
    grave = " (grave)" if one.is_grave else ""
    times = "once" if one.count == 1 else f"{one.count:,} times, the last at {utc_iso(one.last_ns)[11:23]}"
    lines = [
        f"### {one.name}{grave}",
        "",
        f"- expected: {one.expected}",
        f"- came: {one.seen}",
        f"- seen {times}; first at {utc_iso(one.first_ns)[11:23]}",
        "",
    ]
    if one.example:
        lines += ["```", one.example.replace("```", "'''"), "```", ""]
    return lines


def figure_lines(figures: Figures) -> Iterator[str]:
    """What was seen, a fact a line."""
    connections = "1 connection" if figures.connections == 1 else f"{figures.connections} connections"
    yield f"listened for {figures.listened_s:,.0f} s: {figures.frames:,} frames on {connections}"
    for one in figures.channels:
        gap = "" if one.gap_s is None else f", every {one.gap_s:.2f} s (median; longest {one.longest_s or 0:.2f} s)"
        delay = "" if one.delay_s is None else f", {one.delay_s:.2f} s after its stamps"
        yield f"{one.name}: {one.messages:,} messages{gap}{delay}"
    checked, agreed = figures.mids
    yield f"mid prices: {agreed:,} of {checked:,} agree with the book"
    if took := figures.answer_s:
        yield f"{figures.calls} HTTP calls: median {took[len(took) // 2] * 1e3:.0f} ms, longest {took[-1] * 1e3:.0f} ms"
    yield f"clock: {figures.clock}"
    for reading in figures.limits:
        yield f"limit {reading.limit}: {reading.remaining:,} calls left"


def count_words(found: Deviations) -> str:
    """How many deviations there are."""
    count = len(found)
    if not count:
        return "No deviation"
    grave = sum(one.is_grave for one in found)
    return f"{'1 deviation' if count == 1 else f'{count} deviations'}, {grave} grave"


def terminal_lines(figures: Figures, found: Deviations, width: int) -> Iterator[str]:
    """The short form, in lines of at most ``width`` characters where words allow it."""
    for line in figure_lines(figures):
        yield from textwrap.wrap(line, width, subsequent_indent="  ")
    yield ""
    yield from deviation_lines(found, width)


def deviation_lines(found: Deviations, width: int) -> Iterator[str]:
    """What differs, in such lines."""
    yield count_words(found)
    for one in found:
        times = "" if one.count == 1 else f" ({one.count:,} times)"
        yield from _labelled("GRAVE" if one.is_grave else "differs", f"{one.name}{times}", width)
        yield from _labelled("", f"expected: {one.expected}", width)
        yield from _labelled("", f"came: {one.seen}", width)


def _labelled(label: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=f"{label:<{_INDENT}}", subsequent_indent=" " * _INDENT)


def write_report(path: Path, text: str) -> None:
    """Write the report. Raises LogError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LogError(f"{path} cannot be written: {error.strerror}") from error
