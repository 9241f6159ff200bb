"""What ``why`` reads: the CSVs and runtime logs of the runs that are asked about, and their journals.

A journal is read as of one moment and closed again. Which one a run kept is in its record; ``--set journal.dir=...``
names another. A folder of an older version has no records: its journal is the one in it, or the one of the
configuration if its last run logged there. Of several, the one that knows what is asked about. Backtests have none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stall_then_strike.app.story.why_budget import MEMORY_NS, budget_waits
from stall_then_strike.app.story.why_order import (
    Fill,
    OrderLife,
    fill_of_csv,
    fill_of_journal,
    life_of_csv,
    life_of_journal,
)
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.strategy import QUOTE_WORDS
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.infra.logs.log_reader import DecisionLine, LogReader, OrderLine, Span
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_list import Run, RunList
from stall_then_strike.infra.logs.runtime_reader import RuntimeLine, runtime_lines
from stall_then_strike.types.dto import NS_PER_S, BookedFill, Fact, OrderMemo, Reason
from stall_then_strike.types.errors import JournalError
from stall_then_strike.types.text import plain

LIFE_NS: Final = 120 * NS_PER_S
"""Longer than an order of ours can be live: the venue expires it after a minute."""
_HOUR_NS: Final = 3_600 * NS_PER_S
_SKEW_NS: Final = 2 * NS_PER_S
_REPEATED: Final = ("strike ", "fill ", "pre-flight: ", "close ", "reverse move: ", "closed (")
"""Beginnings of runtime lines that only repeat CSVs and journal."""


@dataclass(slots=True)
class Records:
    """Everything found in a span of time."""

    decisions: Span[DecisionLine]
    orders: list[OrderLife] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    """Facts that belong to none of ``orders``."""
    log: list[RuntimeLine] = field(default_factory=list)


class Sources:
    """Logs and journals to search. A context manager that closes the journals."""

    def __init__(
        self, cfg: AppConfig, known: RunList, runs: Sequence[Run], *, is_journal_named: bool, first: str | None = None
    ) -> None:
        """Open what exists and note what does not in ``notes``. Only rows of ``runs`` are read; if empty, all rows.

        ``cfg`` is of one instrument. ``first`` is the product of the account's first one, after which a journal that no
        run names is called.
        """
        self.cfg = cfg
        self.units = cfg.exchange.instrument()
        self._folder, self._first, self._runs = known.folder, first or cfg.exchange.product_code, runs or known.all
        folders = [run.files.of(cfg.exchange.product_code) for run in self._runs]
        if not folders and known.folder.is_dir():
            folders = [known.folder]
        self.logs = LogReader(folders)
        self.searched = [f"logs {folder}" for folder in folders]
        self.limits = "of the present configuration"
        """Whose the limits of ``cfg`` are, in words."""
        self.notes: list[str] = []
        """What could not be used, or only partly."""
        if not known.folder.is_dir():
            self.notes.append(f"no logs: the folder {known.folder} does not exist")
        self._journals = self._found(is_journal_named=is_journal_named)
        self.journal = self._journals[0] if self._journals else None
        """The journal in use."""
        self.searched += [f"journal {journal.path}" for journal in self._journals]

    def __enter__(self) -> Sources:
        """Itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the journals."""
        for journal in self._journals:
            journal.close()

    @property
    def is_running(self) -> bool:
        """Whether one of the runs is running; if runs are unknown, whether somebody holds the journal."""
        if any(run.record is not None for run in self._runs):
            return any(run.is_running for run in self._runs)
        return any(journal.info().held_by is not None for journal in self._journals)

    # --- questions

    def around(self, from_ns: int, until_ns: int) -> Records:
        """Everything in ``[from_ns, until_ns)``, with the whole lives of the orders of that time. Raises
        JournalError."""
        wide_from, wide_until = max(0, from_ns - LIFE_NS), until_ns + LIFE_NS
        self._choose(lambda journal: any(True for _ in journal.facts(wide_from, wide_until)))
        wide = self.logs.decisions(wide_from, wide_until)
        found = Records(decisions=_narrowed(wide, from_ns, until_ns))
        lives, loose, loose_fills = self._of_journal(wide_from, wide_until)
        known = frozenset().union(*(life.names for life in lives))
        lives += self._of_csv(wide, wide_from, wide_until, known)
        known = known.union(*(life.names for life in lives))
        found.orders = [life for life in lives if life.first_ns < until_ns and from_ns <= life.last_ns]
        found.facts = [fact for fact in loose if from_ns <= fact.ts_ns < until_ns]
        told = {(fill.order_id, fill.ts_ns // 1_000) for fill in loose_fills}
        loose_fills += [
            fill_of_csv(trade)
            for trade in self.logs.trades(wide_from, wide_until).within
            if trade.order_id not in known and (trade.order_id, trade.ts_ns // 1_000) not in told
        ]
        own = [fill for life in found.orders for fill in life.fills]
        fills = (fill for fill in own + loose_fills if from_ns <= fill.ts_ns < until_ns)
        found.fills = sorted(fills, key=lambda fill: fill.ts_ns)
        found.log = self._runtime(from_ns, until_ns, found)
        return found

    def order(self, name: str) -> OrderLife | None:
        """The order with an id (ours, the venue's, or an execution's). Raises JournalError."""
        if name.isdecimal():
            name = self._order_of_execution(int(name)) or name
        self._choose(lambda journal: journal.order(name) is not None)
        if self.journal is not None and (memo := self.journal.order(name)) is not None:
            facts = self.journal.facts_of(name)
            stamps = [memo.sent_ns, *(fact.ts_ns for fact in facts)]
            fills = self.journal.fills(max(0, min(stamps) - LIFE_NS), max(stamps) + LIFE_NS)
            own = {memo.client_order_id, memo.order_id}
            mine = [fill for fill in fills if fill.client_order_id in own or fill.row.order_id in own - {None}]
            return life_of_journal(memo, facts, mine, self.units)
        rows = self.logs.orders_named(name)
        if not rows:
            return None
        venue_name = next((row.order_id for row in rows if row.order_id), "")
        trades = self.logs.trades_of(venue_name) if venue_name else []
        decisions = self.logs.decisions(max(0, rows[0].ts_ns - LIFE_NS), rows[-1].ts_ns + 1_000).within
        return life_of_csv(rows, trades, decisions)

    def last_halt(self, until_ns: int) -> tuple[int, str, str] | None:
        """Stamp, label and detail of the last halt before a time. Raises JournalError."""
        row = self.logs.last_decision("halt", until_ns)
        memo = None if self.journal is None else self.journal.memo()
        is_remembered = memo is not None and memo.halt_ns < until_ns and (row is None or memo.halt_ns >= row.ts_ns)
        if memo is not None and memo.halted is not None and is_remembered:
            return memo.halt_ns, memo.halted.label, memo.halt_detail
        return None if row is None else (row.ts_ns, row.reason, "")

    def nearest(self, from_ns: int, until_ns: int) -> tuple[int | None, int | None]:
        """Stamps of the last row or fact before a span and of the first after it. Raises JournalError."""
        spans = (self.logs.decisions(from_ns, until_ns), self.logs.orders(from_ns, until_ns))
        before = [span.before.ts_ns for span in spans if span.before is not None]
        after = [span.after.ts_ns for span in spans if span.after is not None]
        if self.journal is not None:
            for back in (_HOUR_NS, 24 * _HOUR_NS, from_ns):
                older = [fact.ts_ns for fact in self.journal.facts(max(0, from_ns - back), from_ns)]
                if older:
                    before.append(older[-1])
                    break
            newer = self.journal.facts(until_ns)
            after += [fact.ts_ns for fact, _ in zip(newer, (0,), strict=False)]
        return max(before, default=None), min(after, default=None)

    def budget_waits(self, decisions: Span[DecisionLine]) -> Mapping[int, str]:
        """What each hold with the reason BUDGET waited for, by its stamp. Raises JournalError."""
        rows = [row for row in (decisions.before, *decisions.within) if row is not None]
        held = [row.ts_ns for row in rows if row.decision_type == "hold" and row.reason == Reason.BUDGET.label]
        if not held:
            return {}
        from_ns, until_ns = max(0, held[0] - MEMORY_NS), held[-1] + 1_000  # CSVs have whole microseconds
        facts = () if self.journal is None else self.journal.facts(from_ns, until_ns)
        questions = [fact.ts_ns for fact in facts if fact.what == "ask"]
        return budget_waits(self.logs.decisions(from_ns, until_ns).within, questions, self.cfg)

    # --- places

    def _choose(self, knows: Callable[[JournalReader], bool]) -> None:
        """Use the first journal with the answer; if none has it, keep the present one."""
        if len(self._journals) > 1:
            self.journal = next(filter(knows, self._journals), self.journal)

    def _found(self, *, is_journal_named: bool) -> list[JournalReader]:
        """The journals of the runs; the configured one if it is named, or for a folder without records."""
        configured = journal_path(self.cfg.journal.dir, self._first)
        if is_journal_named:
            if not configured.exists():
                self.notes.append(f"{configured}: no such journal")
            return self._opened(configured)
        own = dict.fromkeys(run.journal for run in self._runs if run.journal is not None)
        found = [journal for path in own for journal in self._opened(path)]
        if any(run.record is not None for run in self._runs):
            return found
        found += self._opened(journal_path(RunFiles(self._folder).journals, self._first))
        for journal in self._opened(configured):
            folder = journal.log_dir()
            if folder is None or folder.is_relative_to(self._folder.absolute()):
                found.append(journal)
                continue
            journal.close()
            if not found:
                self.notes.append(
                    f"{configured} was not used: its last run logged to {folder}. To use it: --set journal.dir=..."
                )
        return found

    def _opened(self, path: Path) -> list[JournalReader]:
        """The journal at a path in a list; empty if it does not exist or cannot be read."""
        if not path.exists():
            return []
        try:
            return [JournalReader.open(path).of(self.cfg.exchange.product_code)]
        except JournalError as error:
            self.notes.append(str(error))
            return []

    def _order_of_execution(self, number: int) -> str | None:
        fills = (fill for journal in self._journals for fill in journal.fills() if fill.exec_id == number)
        fill = next(fills, None)
        return None if fill is None else fill.client_order_id or fill.row.order_id

    def _of_journal(self, from_ns: int, until_ns: int) -> tuple[list[OrderLife], list[Fact], list[Fill]]:
        """Orders with their lives, and the facts and fills that belong to none of them."""
        if self.journal is None:
            return [], [], []
        memos: dict[str, OrderMemo] = {memo.client_order_id: memo for memo in self.journal.orders(from_ns, until_ns)}
        facts: defaultdict[str, list[Fact]] = defaultdict(list)
        fills: defaultdict[str, list[BookedFill]] = defaultdict(list)
        by_venue: dict[str, str] = {memo.order_id: name for name, memo in memos.items() if memo.order_id}
        loose: list[Fact] = []
        for fact in self.journal.facts(from_ns, until_ns):
            owner = _owner(fact.client_order_id, fact.order_id, memos, by_venue)
            (loose if owner is None else facts[owner]).append(fact)
        loose_fills: list[Fill] = []
        for fill in self.journal.fills(from_ns, until_ns):
            owner = _owner(fill.client_order_id, fill.row.order_id, memos, by_venue)
            if owner is None:
                loose_fills.append(fill_of_journal(fill, self.units))
            else:
                fills[owner].append(fill)
        lives = [life_of_journal(memo, facts[name], fills[name], self.units) for name, memo in memos.items()]
        return lives, loose, loose_fills

    def _of_csv(self, wide: Span[DecisionLine], from_ns: int, until_ns: int, known: frozenset[str]) -> list[OrderLife]:
        rows: defaultdict[str, list[OrderLine]] = defaultdict(list)
        for row in self.logs.orders(from_ns, until_ns).within:
            if row.client_order_id not in known:
                rows[row.client_order_id].append(row)
        if not rows:
            return []
        trades = self.logs.trades(from_ns, until_ns).within
        lives = []
        for own in rows.values():
            names = {row.order_id for row in own} - {""}
            lives.append(life_of_csv(own, [trade for trade in trades if trade.order_id in names], wide.within))
        return lives

    def _runtime(self, from_ns: int, until_ns: int, found: Records) -> list[RuntimeLine]:
        folders = [run.files.runtime for run in self._runs]
        lines = [
            line
            for folder in folders
            for line in runtime_lines(folder, max(0, from_ns - _SKEW_NS), until_ns + _SKEW_NS)
        ]
        expected = [f"fill {fill.side} {plain(fill.size)} @ {plain(fill.price)} " for fill in found.fills]
        expected += [
            f"{side} {plain(at)}"
            for row in found.decisions.within
            if row.decision_type in QUOTE_WORDS
            for side, at in (("BUY", row.entry_bid), ("SELL", row.entry_ask))
            if at is not None
        ]
        if expected and not any(text in line.text for text in expected for line in lines):
            if any(folder.is_dir() for folder in folders):
                self.notes.append(
                    "the runtime log has no lines of this time: they were deleted by age, or a run "
                    "at another speed stamped them in real time"
                )
            return []
        facts = {fact.detail for fact in found.facts}
        return [
            line
            for line in lines
            if from_ns <= line.ts_ns < until_ns and not line.text.startswith(_REPEATED) and line.text not in facts
        ]


def _owner(
    name: str | None, order_id: str | None, memos: Mapping[str, OrderMemo], by_venue: Mapping[str, str]
) -> str | None:
    if name is not None and name in memos:
        return name
    return None if order_id is None else by_venue.get(order_id)


def _narrowed(wide: Span[DecisionLine], from_ns: int, until_ns: int) -> Span[DecisionLine]:
    older: Sequence[DecisionLine] = [row for row in wide.within if row.ts_ns < from_ns]
    newer: Iterable[DecisionLine] = (row for row in wide.within if row.ts_ns >= until_ns)
    return Span(
        before=older[-1] if older else wide.before,
        within=tuple(row for row in wide.within if from_ns <= row.ts_ns < until_ns),
        after=next(iter(newer), wide.after),
    )
