"""What is run. A case's name says it: where the market comes from, quote mode, settings, and who trades it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SAMPLE: Final = "../../sample.jsonl.zst"
"""The sample tape, seen from a case's folder."""
SHARED: Final = "../../shared/"
"""The folder of recorded tapes, likewise."""
QUOTES: Final = {
    "mid": ("strategy.quote_mode=mid",),
    "mid300": ("strategy.quote_mode=mid", "strategy.quote_offset_ticks=300"),
    "inside": ("strategy.quote_mode=inside",),
    "join": ("strategy.quote_mode=join",),
}
_PATIENT: Final = (
    *("strategy.ttl_ms=3000", "strategy.max_reverse_ticks=900", "strategy.min_spread_tick=400"),
    *("strategy.size_min=0.01", "strategy.max_inventory_btc=0.03"),
)
SETTINGS: Final = {
    "base": (),
    # Fills, positions at the limit, exits after a while, funding.
    "patient": _PATIENT,
    # Closes that leave a rest and are sent again; fees; nobody ahead of us leaves.
    "ioc": (
        *("strategy.close_type=ioc", "strategy.close_band_ticks=100", "strategy.close_retry_ms=200"),
        *("strategy.size_min=0.05", "strategy.max_inventory_btc=0.1", "strategy.ttl_ms=2000"),
        *("paper.queue_model=pessimistic", "paper.maker_fee=-0.00005", "paper.taker_fee=0.0001"),
    ),
    # A venue that is slow, and at times very slow.
    "slow": (
        *("paper.order_latency.kind=uniform", "paper.order_latency.median_ms=200", "paper.order_latency.spread_ms=150"),
        *(
            "paper.order_latency.spike_share=0.1",
            "paper.cancel_latency.kind=constant",
            "paper.cancel_latency.median_ms=250",
        ),
        *("paper.queue_model=power", "paper.queue_power=3", "strategy.size_min=0.02", "strategy.max_reverse_ticks=300"),
    ),
    # The kill switch: by the day's result, and the run ends.
    "halt": (
        "risk.daily_pnl_jpy=-20",
        "risk.after_halt=exit",
        "strategy.size_min=0.01",
        "strategy.max_reverse_ticks=300",
    ),
    # By the drawdown, and the run goes on with the next trading day.
    "wait": (*_PATIENT, "risk.max_dd_jpy=-20", "risk.after_halt=wait", "session.day_start=06:00"),
    # Rate limits in use, and a position that is closed at the end.
    "limits": (
        *("exchange.limits.small_orders_per_min=20", "exchange.limits.reserve_small_orders=4"),
        *("risk.stop_flat=true", "strategy.max_reverse_ticks=5000"),
    ),
}
ENGINES: Final = ("interpreted", "compiled")


@dataclass(frozen=True, slots=True)
class Case:
    """Commands, run one after the other in a folder of their own."""

    name: str
    commands: Sequence[Sequence[str]]
    """Words of each. A word with a ``*`` stands for the files that it fits."""
    is_quick: bool = False
    needs: str = ""
    """Name of a case whose folder this one reads, if any."""


@dataclass(slots=True)
class _List:
    cases: list[Case] = field(default_factory=list)

    def add(self, name: str, *commands: Sequence[str], quick: bool = False, needs: str = "") -> None:
        self.cases.append(Case(name, commands, quick, needs))

    def tape(
        self, source: str, tapes: Sequence[str], quote: str, settings: str, *, quick: bool = False, needs: str = ""
    ) -> None:
        """A replay by each engine."""
        for engine in ENGINES:
            self.add(
                f"{source}-{quote}-{settings}-{engine}",
                ["backtest", *tapes, "--engine", engine, "--log-dir", "logs", *sets(quote, settings)],
                quick=quick and engine == "interpreted",
                needs=needs,
            )


def sets(quote: str, settings: str) -> Iterator[str]:
    """The flags for a quote mode and settings."""
    for one in (*QUOTES[quote], *SETTINGS[settings]):
        yield from ("--set", one)


def all_cases(shared: Path | None) -> list[Case]:
    """All of them; those on recorded tapes if there is a folder of such."""
    todo = _List()
    _sample(todo)
    _made(todo)
    _simulated(todo)
    if shared is not None:
        _recorded(todo, shared)
    _refused(todo)
    return todo.cases


def _sample(todo: _List) -> None:
    for quote in QUOTES:
        todo.tape("sample", [SAMPLE], quote, "base", quick=True)
        todo.tape("sample", [SAMPLE], quote, "patient")
    for settings, quotes in {"ioc": ("mid", "join"), "slow": ("mid300", "inside"), "halt": ("mid", "inside")}.items():
        for quote in quotes:
            todo.tape("sample", [SAMPLE], quote, settings, quick=(quote, settings) == ("mid", "halt"))
    for quote, settings in (*((quote, "base") for quote in QUOTES), ("mid", "halt")):
        todo.add(
            f"sample-{quote}-{settings}-run_paper",
            ["run_paper", "--tape", SAMPLE, "--log-dir", "logs", *sets(quote, settings)],
            quick=(quote, settings) == ("join", "base"),
        )
    todo.tape("sample", [SAMPLE], "mid", "limits")
    for engine in ENGINES:
        todo.add(
            f"sample-mid-limits-100s-{engine}",
            ["backtest", SAMPLE, "--engine", engine, "--duration", "100", "--log-dir", "logs", *sets("mid", "limits")],
        )


def _made(todo: _List) -> None:
    """Tapes that the commands themselves make: one over a funding settlement, one of half an hour."""
    made = "made.jsonl.zst"
    start = "2026-01-04T20:57:00Z"  # 05:57 in Tokyo, where funding is settled at 06:00
    todo.add(
        "funding", ["tape", "sample", "--seed", "11", "--seconds", "420", "--start", start, "-o", made], quick=True
    )
    todo.add("long", ["tape", "sample", "--seed", "5", "--seconds", "1800", "-o", made])
    todo.add(
        "tools",
        ["tape", "info", SAMPLE],
        ["tape", "check", SAMPLE],
        ["tape", "convert", SAMPLE, "--to", "jsonl", "-o", "made.jsonl"],
    )
    funding, long = f"../funding/{made}", f"../long/{made}"
    for quote in QUOTES:
        todo.tape("funding", [funding], quote, "patient", quick=quote in ("mid", "join"), needs="funding")
    for quote in ("mid", "inside"):
        todo.tape("funding", [funding], quote, "wait", needs="funding")
    todo.tape("long", [long], "mid", "patient", needs="long")
    # Two tapes with hours without messages between them.
    todo.tape("funding+sample", [funding, SAMPLE], "mid300", "patient", needs="funding")


def _simulated(todo: _List) -> None:
    paper = ["run_paper", "--sim", "--speed", "max", "--log-dir", "logs"]
    for quote in QUOTES:
        for seed, settings in (("7", "base"), ("3", "patient"), ("5", "halt")):
            if settings != "halt" or quote == "mid":
                todo.add(
                    f"sim-{quote}-{settings}",
                    [*paper, "--duration", "240", "--seed", seed, *sets(quote, settings)],
                    quick=settings == "patient",
                )
    todo.add(
        "sim-mid-recorded",
        [*paper, "--duration", "60", "--seed", "3", "--set", "record.enabled=true", "--set", "record.dir=raw"],
        ["tape", "replay", "raw/*.events.jsonl.zst", "-o", "again"],
        ["tape", "check", "raw/*Z.jsonl.zst"],
        quick=True,
    )


def _recorded(todo: _List, shared: Path) -> None:
    """Tapes of the venue, and some that were derived from its best prices; those that are there."""
    tapes = {
        "fx20210405": ("FX_BTC_JPY-20210405T172849Z-119s.jsonl", tuple(QUOTES)),
        "fx20210417": ("FX_BTC_JPY-20210417T163936Z-30s.jsonl", ("mid", "join")),
        "fx20211212": ("FX_BTC_JPY-20211212T230530Z-30s.jsonl", ("mid", "inside")),
        "fx20250716": ("derived-FX_BTC_JPY-20250716T051227Z-455s.jsonl.zst", tuple(QUOTES)),
    }
    for source, (name, quotes) in tapes.items():
        if (shared / name).is_file():
            for quote in quotes:
                quick = source == "fx20210405" and quote in ("mid300", "inside")
                todo.tape(source, [SHARED + name], quote, "patient", quick=quick)
    if (shared / tapes["fx20211212"][0]).is_file():
        todo.tape("fx20211212", [SHARED + tapes["fx20211212"][0]], "mid", "base")
    gap = "derived-FX_BTC_JPY-20250716T061439Z-768s.jsonl.zst"
    if (shared / gap).is_file():
        todo.add(
            "cut20250716",
            ["tape", "info", SHARED + gap],
            ["tape", "check", SHARED + gap],
            ["tape", "cut", SHARED + gap, "--from", "+100", "--to", "+400", "-o", "made.jsonl"],
        )
        for quote in ("inside", "join"):
            todo.tape("cut20250716", ["../cut20250716/made.jsonl"], quote, "slow", needs="cut20250716")
    spot = "BTC_JPY-20210722T222923Z-30s.jsonl"
    if (shared / spot).is_file():
        spots = ["backtest", SHARED + spot, "--engine", "interpreted", "--log-dir", "logs"]
        todo.add("spot-refused", spots)  # no market of our product
        todo.add("spot-mid-base", [*spots, "--set", "exchange.product_code=BTC_JPY", "--set", "ws.channels=[]"])


def _refused(todo: _List) -> None:
    """Settings shown, and runs that end before they begin."""
    for command in ("backtest", "run_paper", "run_live"):
        todo.add(f"check-{command}", [command, "--check"])
    todo.add("refused-no-tape", ["backtest"], ["backtest", "no-such-tape.jsonl"], quick=True)
    todo.add("refused-setting", ["backtest", SAMPLE, "--set", "strategy.quote_mode=nowhere"], quick=True)
    todo.add(
        "refused-compiled",
        [
            "backtest",
            SAMPLE,
            "--engine",
            "compiled",
            "--log-dir",
            "logs",
            "--set",
            "strategy.max_inventory_btc=9999999999",
        ],
    )
