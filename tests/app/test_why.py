"""The command ``why`` on handmade journals and CSVs: answers and refusals."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.app.why import main
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.logging_structured import columns
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.infra.logs.run_record import RunRecord
from stall_then_strike.types.dto import NS_PER_S, ClientOrderId, Fact, OrderId, Reason
from stall_then_strike.types.instrument import Lots, Money
from stall_then_strike.types.text import utc_day, utc_iso
from tests.infra.journal.journal_rig import DAY_NS, TS, changes, ended, fill, memo, open_in, order

MS = 1_000_000
AT = "2026-11-21T07:30:13.123Z"  # of TS
JRF = "JRF20261121-073013-000001"
QUOTES = "place_limit BUY 0.001@13600000; place_limit SELL 0.001@13600003"


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def fact(what: str, ms: int, name: str | None = "k1-1", order_id: str | None = JRF, detail: str = "") -> Fact:
    return Fact(
        ts_ns=TS + ms * MS,
        what=what,
        client_order_id=None if name is None else ClientOrderId(name),
        order_id=None if order_id is None else OrderId(order_id),
        detail=detail,
    )


LIFE = (
    fact("send", 0, order_id=None, detail="strike"),
    fact("accepted", 60),
    fact("registered", 150),
    fact("cancel", 800),
    fact("cancelled", 950),
)


def write(folder: Path, kind: str, *lines: str, end: str = "\n") -> None:
    path = folder / kind / f"{kind}-20261121.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((",".join(columns()[kind]), *lines)) + end)


def stamp(ms: int) -> str:
    """A stamp ``ms`` milliseconds after 07:30:13.123456."""
    return f"2026-11-21T07:30:{13_123 + ms:05d}"[:-3] + f".{(13_123 + ms) % 1000:03d}456Z"


def journal(folder: Path, **parts: Any) -> None:
    with open_in(folder) as opened:
        opened.record(changes(**parts))


def cancelled_quote(folder: Path, **more: Any) -> None:
    quote = ended(
        "k1-1",
        order_id=OrderId(JRF),
        cancel_reason=Reason.TTL,
        cancel_sent_ns=TS + 800 * MS,
        registered_ns=TS + 150 * MS,
    )
    journal(folder, orders=(quote,), facts=LIFE, **more)


@dataclass
class Why:
    """The command, asked about the logs and the journal below a folder."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, code: int = 0, set_dir: bool = True) -> str:
        """What it says on a terminal of 80 columns, with single spaces."""
        out, err = self.outputs(*arguments, code=code, set_dir=set_dir)
        assert err == ""
        assert max(len(line) for line in out.splitlines()) <= 80
        assert "\x1b" not in out, "no colours outside a terminal"
        return re.sub(r"\s+", " ", out)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What it says to programs."""
        return json.loads(self.outputs(*arguments, "--json", code=code)[0])

    def outputs(self, *arguments: str, code: int = 0, set_dir: bool = True) -> tuple[str, str]:
        """Output and errors, after a look at the exit code."""
        flags = ["--log-dir", str(self.folder / "logs")]
        given = [*arguments, *flags, *(["--set", f"journal.dir={self.folder / 'journal'}"] if set_dir else [])]
        self.capsys.readouterr()
        assert main(given) == code
        return self.capsys.readouterr()


@pytest.fixture
def why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Why:
    return Why(tmp_path, capsys)


# --- orders


@pytest.mark.parametrize("name", ["k1-1", JRF])
def test_a_cancelled_quote_by_either_name(tmp_path: Path, why: Why, name: str) -> None:
    cancelled_quote(tmp_path)
    said = why(name)
    assert (
        "Order k1-1 was a quote of a strike: BUY 0.001 BTC at 13,600,000, sent at 07:30:13.123. It rested 0.800 s, was "
        "cancelled because its time to live of 800 ms had passed (confirmed 0.150 s after the request) and was "
        "never filled." in said
    )
    assert "answered 07:30:13.183 0.060 s after sending" in said
    assert "on the book 07:30:13.273 0.150 s after sending" in said
    assert "07:30:14.073 +0.950 cancelled #1 cancel confirmed: ttl" in said


def test_a_quote_of_another_strategy(tmp_path: Path, why: Why) -> None:
    """Its decisions and quotes have their own word and tag, and a quote has no time to live."""
    quote = ended(
        "k1-1", order_id=OrderId(JRF), tag="quote", reason=Reason.STRATEGY, cancel_reason=Reason.STRATEGY, ttl_ms=0
    )
    journal(tmp_path, orders=(quote,), facts=LIFE)
    row = f"{stamp(0)},300,1200,0,quote,13600000,,place_limit BUY 0.001@13600000,strategy"
    write(tmp_path / "logs", "decisions", row)
    said = why("k1-1")
    assert "Order k1-1 was a quote: BUY 0.001 BTC at 13,600,000, sent at 07:30:13.123." in said
    assert "quote BUY 0.001 @ 13600000" in said
    assert "was cancelled because the strategy wished it" in said
    assert "1 quote, 0 fills" in why("2026-11-21T07:30:13.200Z")


def test_a_filled_quote_by_its_execution(tmp_path: Path, why: Why) -> None:
    quote = ended("k1-1", order_id=OrderId(JRF), state="filled", executed=Lots(100_000), registered_ns=TS + 150 * MS)
    booked = fill(2636303818, "k1-1", ts_ns=TS + 400 * MS, pnl_jpy=Money(-123_000_000_000), fee=Money(5_000_000))
    journal(tmp_path, orders=(quote,), facts=(*LIFE[:3], fact("fill", 400, detail="in words")), fills=(booked,))
    said = why("2636303818")
    assert "It rested 0.250 s and was filled completely by one fill at 13,600,000: -1,230 JPY realised" in said
    assert "position -0.001 BTC, execution 2636303818" in said
    assert said.count("+0.400") == 1, "a fill is told once"


def test_a_fill_that_beat_its_cancel(tmp_path: Path, why: Why) -> None:
    quote = ended("k1-1", order_id=OrderId(JRF), state="filled", cancel_reason=Reason.BEST_MOVED)
    facts = (*LIFE[:3], fact("cancel", 390), fact("cancel_failed", 500))
    journal(tmp_path, orders=(quote,), facts=facts, fills=(fill(7, "k1-1", ts_ns=TS + 400 * MS),))
    said = why("k1-1")
    assert "while its cancel was in flight" in said
    assert "cancel refused by the venue" in said


def test_a_quote_filled_in_part_and_then_cancelled(tmp_path: Path, why: Why) -> None:
    cancelled_quote(tmp_path, fills=(fill(7, "k1-1", ts_ns=TS + 400 * MS, size=Lots(40_000)),))
    assert "and was filled partly, 0.0004 of 0.001 BTC, by one fill" in why("k1-1")


@pytest.mark.parametrize(
    ("facts", "state", "expected"),
    [
        ((fact("rejected", 60, order_id=None, detail="-205 margin"),), "rejected", "It was refused: -205 margin."),
        ((fact("not_sent", 60, order_id=None, detail="no line"),), "rejected", "It never took effect: no line."),
        (
            (fact("send_unknown", 60, order_id=None), fact("proven_absent", 9_000, order_id=None, detail="not listed")),
            "rejected",
            "It was proven never to have been on the book: not listed.",
        ),
    ],
)
def test_an_order_that_never_lived(
    tmp_path: Path, why: Why, facts: tuple[Fact, ...], state: str, expected: str
) -> None:
    journal(tmp_path, orders=(ended("k1-1", state=state),), facts=(LIFE[0], *facts))
    assert expected in why("k1-1")


def test_an_order_that_is_live_while_the_journal_is_written(tmp_path: Path, why: Why) -> None:
    with open_in(tmp_path) as opened:
        opened.record(changes(orders=(order("k1-1", order_id=OrderId(JRF), state="working"),), facts=LIFE[:3]))
        assert "It is not known to have ended, with no known fill." in why("k1-1")


def test_what_went_wrong_around_an_order_is_told_and_other_orders_are_not(tmp_path: Path, why: Why) -> None:
    other = (fact("send", 100, "k1-2", None, "strike"), fact("accepted", 200, "k1-2", "JRF-2"))
    odd = (
        fact("anomaly", 300, None, None, "cancel confirmed twice"),
        fact("channel", 350, None, None, "down"),
        fact("refusal", 360, None, None, "throttled: -1"),
        fact("difference", 370, None, None, "position +0.1 BTC at the venue, +0 here"),
    )
    quote = ended("k1-1", order_id=OrderId(JRF), cancel_reason=Reason.TTL)
    journal(tmp_path, orders=(quote, order("k1-2", sent_ns=TS + 100 * MS)), facts=(*LIFE, *other, *odd))
    lines = why.json("k1-1")["timeline"]
    assert [line["text"] for line in lines if line["out_of_the_ordinary"]] == [
        "cancel confirmed twice",
        "private channel: down",
        "the venue refused a request: throttled: -1",
        "our books and the venue's differ: position +0.1 BTC at the venue, +0 here",
    ]
    assert not [line for line in lines if line["order"] == "k1-2"]


def test_a_fill_of_no_order_of_ours_is_told_by_its_tag(tmp_path: Path, why: Why) -> None:
    stranger = fact("stranger", 10, None, "JRF-X", "to be cancelled")
    booked = fill(7, None, ts_ns=TS + 20 * MS, order_id="JRF-X", tag="foreign")
    journal(tmp_path, facts=(stranger, fact("fill", 20, None, "JRF-X", "7 BUY")), fills=(booked,))
    said = why(AT)
    assert "account JRF-X an order on the book is not ours: to be cancelled" in said
    assert "foreign JRF-X BUY 0.001 @ 13600000: -12.35 JPY" in said
    assert said.count("+0.020") == 1, "a fill is told once"


# --- from the CSVs alone


def paper(folder: Path) -> None:
    logs = folder / "logs"
    write(
        logs,
        "decisions",
        f"{stamp(-700)},0,1519,0,cancel,,,cancel_all_stall 2,ttl",
        f"{stamp(-500)},0,1519,0,hold,,,,stall_immature",
        f"{stamp(0)},258,1519,0,strike,13600000,13600003,{QUOTES},strike",
        f"{stamp(1)},259,1519,0,hold,,,,quoting",
        f"{stamp(800)},0,1519,0.001,cancel,,,cancel_all_stall 1,ttl",
        f"{stamp(950)},60,1,0.001,hold,,,,spread",
        f"{stamp(13350)},0,1500,0.001,hold,,,,budget",
    )
    write(
        logs,
        "orders",
        f"{stamp(5)},place,PAPER-1,k1-1,BUY,13600000,0.001,GTC,800,stall,strike",
        f"{stamp(6)},place,PAPER-2,k1-2,SELL,13600003,0.001,GTC,800,stall,strike",
        f"{stamp(950)},cancel,PAPER-2,k1-2,SELL,13600003,0.001,GTC,800,stall,ttl",
    )
    write(logs, "trades", f"{stamp(400)},PAPER-1,BUY,13600000,0.001,0,stall_then_strike,stall,0,0,0.001")


def test_paper_orders_are_told_from_the_csvs_and_what_they_lack_is_said(tmp_path: Path, why: Why) -> None:
    paper(tmp_path)
    said = why("PAPER-2", set_dir=False)
    assert (
        "sent at 07:30:13.123. It was live, since the venue's answer, for 0.944 s, was cancelled because its time"
        in said
    )
    assert "(confirmed 0.150 s after the request) and was never filled" in said
    assert "the time of registration is not known" in said
    assert "0.395 s and was filled completely by one fill at 13,600,000: 0 JPY realised" in why("k1-1", set_dir=False)


def test_a_moment_of_holding_says_which_gate_its_figure_and_how_long(tmp_path: Path, why: Why) -> None:
    paper(tmp_path)
    said = why("2026-11-21T07:30:17Z", "--set", "strategy.min_spread_tick=5", set_dir=False)
    assert (
        "At 07:30:17.000 nothing was quoted: the spread is too narrow (1 tick, under min_spread_tick 5); this held for "
        "12.4 s, 07:30:14.073 to 07:30:26.473." in said
    )
    assert "In the window: 1 strike, 1 fill (0 JPY realised), nothing out of the ordinary." in said
    assert "position +0.001 BTC" in said


def test_a_moment_in_a_hold_that_began_and_ended_outside_the_window(tmp_path: Path, why: Why) -> None:
    paper(tmp_path)
    assert "this held for 12.4 s" in why("2026-11-21T07:30:20Z", "--window", "1", set_dir=False)


def test_a_moment_with_quotes_out_names_them(tmp_path: Path, why: Why) -> None:
    paper(tmp_path)
    said = why("2026-11-21T07:30:13.323Z", "--local", set_dir=False)
    assert "nothing new was quoted: quotes of ours are still live; this held for 0.799 s" in said
    assert "Live then: BUY 13600000, SELL 13600003." in said
    why("16:30:13.323", code=1, set_dir=False)  # today, in UTC


def test_a_moment_right_after_a_decision(tmp_path: Path, why: Why) -> None:
    paper(tmp_path)
    assert "At 07:30:13.123 a strike had been sent" in why(AT, set_dir=False)


def test_the_last_row_of_a_run_that_ended_says_nothing_of_later(tmp_path: Path, why: Why) -> None:
    paper(tmp_path)
    said = why("2026-11-21T09:00Z", set_dir=False, code=1)
    assert "Nothing was found within 10 s of 2026-11-21T09:00:00.000Z. Searched: logs" in said
    assert "Nearest before: 2026-11-21T07:30:26.473Z; nearest after: none." in said


def test_a_pause_between_two_runs_is_no_hold(tmp_path: Path, why: Why) -> None:
    last = f"{stamp(0)},60,1519,0,hold,,,,stopping"
    write(tmp_path / "logs", "decisions", last, "2026-11-21T12:00:00.000000Z,0,0,0,hold,,,,account_unknown")
    said = why("2026-11-21T09:00Z", set_dir=False, code=1)
    assert "Nearest before: 2026-11-21T07:30:13.123Z; nearest after: 2026-11-21T12:00:00.000Z." in said
    assert "the program is stopping; this held from 07:30:13.123, until that run ended." in why(AT, set_dir=False)


def test_a_halt_says_what_tripped_it(tmp_path: Path, why: Why) -> None:
    write(
        tmp_path / "logs",
        "decisions",
        f"{stamp(-5000)},60,1519,0.001,halt,,,,kill_pnl",
        f"{stamp(-5000)},60,1519,0.001,hold,,,,halted",
        f"{stamp(-4000)},60,1519,0.001,close,,,close_market SELL 0.001@market,kill_pnl",
        f"{stamp(-3000)},60,1519,0,hold,,,,halted",
        f"{stamp(3000)},60,1519,0,resume,,,,day_roll",
    )
    runtime = tmp_path / "logs" / "runtime"
    runtime.mkdir()
    (runtime / "app.log").write_text("2026-11-21 07:30:08.123Z | CRITICAL | HALT kill_pnl: day -31,000 JPY\n")
    said = why(AT, set_dir=False)
    assert "nothing was quoted: trading is halted; this held for 8.000 s" in said
    assert "Trading had halted at 2026-11-21T07:30:08.123Z: the day's result reached its limit (kill_pnl)." in said
    assert "HALT The day's result reached its limit (kill_pnl)" in said
    assert "HALT kill_pnl: day -31,000 JPY" in said, "the runtime log has its figures"
    assert "close SELL 0.001 @ market: the day's result reached its limit" in said


def test_a_halt_of_the_journal_is_told_with_its_detail(tmp_path: Path, why: Why) -> None:
    halted = memo(halted=Reason.OPERATOR, halt_ns=TS, halt_detail="by hand")
    journal(tmp_path, memo=halted, facts=(fact("halt", 0, None, None, "operator (by hand)"),))
    write(tmp_path / "logs", "decisions", f"{stamp(0)},0,0,0,hold,,,,halted", f"{stamp(90)},0,0,0,resume,,,,resumed")
    said = why(AT)
    assert "HALT The operator requested it (operator) (by hand)" in said
    assert "Trading had halted at 2026-11-21T07:30:13.123Z: by hand (operator)." in said


def test_a_hold_goes_on_only_while_its_run_does(tmp_path: Path, why: Why) -> None:
    logs, at = tmp_path / "logs", SystemClock().now_ns() - 60 * NS_PER_S
    with RunFolder(logs, AppConfig(), "paper", "wss://v") as run:
        path = run.folder / "decisions" / f"decisions-{utc_day(at)}.csv"
        path.parent.mkdir()
        path.write_text(f"{','.join(columns()['decisions'])}\n{utc_iso(at)},0,1519,0,hold,,,,quiet_time\n")
        assert "it is a quiet time of the session" in why("-30s", set_dir=False)
        tomorrow = utc_iso(at + DAY_NS)
        why(tomorrow, code=1, set_dir=False)  # nobody knows yet
    assert "Nothing was found" in why("-30s", set_dir=False, code=1)


def test_where_nothing_is_found_the_newest_run_says_what_the_folder_is_of(tmp_path: Path, why: Why) -> None:
    """The default settings are of FX_BTC_JPY, and its logs were searched."""
    at = SystemClock().now_ns() - 60 * NS_PER_S
    cfg = AppConfig.model_validate({"exchange": {"product_code": "ETH_JPY"}, "ws": {"channels": []}})
    with RunFolder(tmp_path / "logs", cfg, "paper", "wss://v") as run:
        path = run.folder / "decisions" / f"decisions-{utc_day(at)}.csv"
        path.parent.mkdir()
        path.write_text(f"{','.join(columns()['decisions'])}\n{utc_iso(at)},0,1519,0,hold,,,,quiet_time\n")
    said = " ".join(why("now", set_dir=False, code=1).split())
    assert f"Nearest before: {utc_iso(at)[:23]}Z" in said


def test_what_the_csvs_do_not_have_yet_ends_a_hold_too(tmp_path: Path, why: Why) -> None:
    write(tmp_path / "logs", "decisions", f"{stamp(-500)},0,1519,0,hold,,,,stall_immature")
    journal(tmp_path, orders=(order("k1-1", order_id=OrderId(JRF), state="working"),), facts=LIFE[:3])
    assert "this held for 0.500 s" in why("2026-11-21T07:30:13.100Z")
    said = why("2026-11-21T07:30:13.300Z")
    assert "is in the journal, but not, or not yet, in the decision log. Live then: BUY 13600000." in said


# --- sources


def test_an_order_of_journal_and_csv_is_told_once(tmp_path: Path, why: Why) -> None:
    cancelled_quote(tmp_path)
    write(
        tmp_path / "logs",
        "orders",
        f"{stamp(60)},place,{JRF},k1-1,BUY,13600000,0.001,GTC,800,stall,strike",
        f"{stamp(950)},cancel,{JRF},k1-1,BUY,13600000,0.001,GTC,800,stall,ttl",
    )
    told = why.json(AT)
    assert [line["what"] for line in told["timeline"]] == ["send", "answer", "book", "cancel", "cancelled"]
    assert [(life["source"], life["end"]) for life in told["orders"]] == [("journal", "cancelled")]


def test_the_journal_among_the_logs_is_found(tmp_path: Path, why: Why) -> None:
    cancelled_quote(tmp_path / "logs")
    assert "was never filled" in why("k1-1", set_dir=False)


@pytest.mark.parametrize("name", ["k1-1", "k2-1", AT, "2026-11-21T08:30:13.123Z", "7", "8"])
def test_of_two_journals_of_a_log_folder_the_one_that_knows_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    later = TS + 3_600_000 * MS
    logs = tmp_path / "logs"
    with open_in(logs) as opened:
        cancelled = ended("k1-1", order_id=OrderId(JRF))
        opened.record(changes(orders=(cancelled,), facts=LIFE, fills=(fill(7, "k1-1"),)))
    with open_in(tmp_path) as opened:
        opened.swap_log_dir(logs)
        sent = Fact(ts_ns=later, what="send", client_order_id=ClientOrderId("k2-1"))
        booked = fill(8, "k2-1", ts_ns=later, order_id="JRF-2")
        opened.record(changes(orders=(ended("k2-1", sent_ns=later),), facts=(sent,), fills=(booked,)))
    override = tmp_path / "own.yml"
    override.write_text(f"journal: {{dir: {tmp_path / 'journal'}}}\n")
    assert main([name, "--config", str(override), "--log-dir", str(logs), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    expected = "k2-1" if name in ("k2-1", "8", "2026-11-21T08:30:13.123Z") else "k1-1"
    assert [life["client_order_id"] for life in told["orders"]] == [expected]


def test_a_journal_of_another_log_folder_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paper(tmp_path)
    with open_in(tmp_path) as opened:
        opened.swap_log_dir(tmp_path / "elsewhere")
        opened.record(changes(orders=(order("k1-9"),), facts=(fact("send", 0, "k1-9", None),)))
    override = tmp_path / "own.yml"
    override.write_text(f"journal: {{dir: {tmp_path / 'journal'}}}\n")
    arguments = ["--config", str(override), "--log-dir", str(tmp_path / "logs")]
    assert main([AT, *arguments]) == 0
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "was not used: its last run logged to" in said
    assert "#9" not in said
    assert main(["k1-9", *arguments, "--set", f"journal.dir={tmp_path / 'journal'}"]) == 0


def test_a_damaged_journal_does_not_keep_the_csvs_from_answering(tmp_path: Path, why: Why) -> None:
    paper(tmp_path)
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "FX_BTC_JPY.sqlite3").write_bytes(b"no database at all, but long enough" * 99)
    assert "note:" in why("k1-1")


def test_a_cut_line_is_noted(tmp_path: Path, why: Why) -> None:
    whole = f"{stamp(0)},60,1519,0,hold,,,,spread"
    write(tmp_path / "logs", "decisions", whole, f"{stamp(90)},60,1519,0.0", end="")
    assert "the last line is unfinished and was left out" in why(AT, set_dir=False)


def test_a_runtime_log_in_another_time_is_left_out(tmp_path: Path, why: Why) -> None:
    paper(tmp_path)
    runtime = tmp_path / "logs" / "runtime"
    runtime.mkdir()
    warning = "2026-11-21 07:30:13.200Z | WARNING  | event loop late\n"
    (runtime / "app.log").write_text(warning)
    said = why(AT, set_dir=False)
    assert "the runtime log has no lines of this time" in said
    assert "event loop late" not in said
    strike = "2026-11-21 07:30:13.124Z | INFO     | strike 0.001 BTC: BUY 13600000 / SELL 13600003\n"
    (runtime / "app.log").write_text(strike + warning)
    said = why(AT, set_dir=False)
    assert "log event loop late" in said
    assert "strike 0.001 BTC" not in said, "it repeats the decision"


# --- nothing, and wrong questions


@pytest.mark.parametrize("asked", [AT, "now", "-5m", "k1-404", "999"])
def test_no_logs_at_all(why: Why, asked: str) -> None:
    said = why(asked, code=1)
    assert "no logs: the folder " in said
    assert "no such journal" in said
    assert "Searched: nothing" in said


def test_an_unknown_order_says_what_was_searched(tmp_path: Path, why: Why) -> None:
    cancelled_quote(tmp_path)
    (tmp_path / "logs").mkdir()
    said = why("JRF20261121-000000-999999", code=1)
    assert "No order or execution JRF20261121-000000-999999 was found. Searched: logs" in said
    assert ", journal" in said


def test_json_is_whole_and_in_the_units_of_the_logs(tmp_path: Path, why: Why) -> None:
    cancelled_quote(tmp_path, fills=(fill(7, "k1-1", ts_ns=TS + 400 * MS, size=Lots(40_000)),))
    told = why.json("k1-1")
    (life,) = told["orders"]
    assert (life["price"], life["size"], life["executed"], life["end"]) == ("13600000", "0.001", "0.0004", "cancelled")
    assert (life["sent"], life["cancel_reason"]) == ("2026-11-21T07:30:13.123456Z", "ttl")
    assert told["fills"][0]["exec_id"] == 7
    assert told["found"] is True
    assert told["verdict"].startswith("Order k1-1 was a quote of a strike")
    assert why.json("k1-2", code=1)["found"] is False


def test_a_long_time_line_is_cut_around_the_moment(tmp_path: Path, why: Why) -> None:
    facts = tuple(fact("anomaly", ms, None, None, f"number {ms}") for ms in range(-300, 300))
    journal(tmp_path, facts=facts)
    said = why(AT)
    assert "200 more lines: narrow it by --window" in said
    assert "number 0" in said
    assert "number 290" not in said


# --- runs


def run_of(logs: Path, number: int, mode: str, *lines: str) -> None:
    """A run that was killed, with these decisions."""
    folder = logs / f"20261121T070{number}00Z-{mode}-bitflyer"
    record = RunRecord(
        mode=mode, venue="bitflyer", source="https://v", instruments=("FX_BTC_JPY",), configuration="c", version="1",
        started=f"2026-11-21T07:{number:02d}:00.000000Z",
    )  # fmt: skip
    write(folder, "decisions", *lines)
    record.write(RunFiles(folder).record)


def test_restarts_on_one_venue_are_one_story_and_a_backtest_is_another(tmp_path: Path, why: Why) -> None:
    logs = tmp_path / "logs"
    run_of(
        logs, 1, "live", f"{stamp(-500)},0,1519,0,hold,,,,stall_immature", f"{stamp(-400)},0,1519,0,hold,,,,stopping"
    )
    run_of(logs, 2, "live", f"{stamp(500)},0,1519,0,hold,,,,quiet_time")
    told = why.json(AT)
    names = [f"run 20261121T070{number}00Z-live-bitflyer: live" for number in (1, 2)]
    assert [line.partition(",")[0] for line in told["runs"]] == names
    assert [hold["reason"] for hold in told["holds"]] == ["stall_immature", "stopping", "quiet_time"]
    run_of(logs, 3, "backtest", f"{stamp(100)},0,1519,0,hold,,,,budget")
    _, err = why.outputs(AT, code=2)
    assert f"{AT} is in 3 runs; accepted: --run with the name of one:" in err
    name = "20261121T070300Z-backtest-bitflyer"
    assert f"run {name}: backtest, FX_BTC_JPY of bitflyer, https://v, started 2026-11-21 07:03:00 UTC, killed" in err
    said = why(AT, "--run", "20261121T0703")
    assert f"run {name}: backtest" in said
    assert "quiet_time" not in said
    _, err = why.outputs(AT, "--run", "20261121T07", code=2)
    assert "--run 20261121T07: begins the names of 3 runs; accepted: " in err


def test_rows_without_a_manifest_are_of_an_unknown_run(tmp_path: Path, why: Why) -> None:
    write(
        tmp_path / "logs",
        "decisions",
        f"{stamp(-500)},0,1519,0,hold,,,,stall_immature",
        f"{stamp(500)},0,1519,0,hold,,,,budget",
    )
    assert "run unknown: rows in " in why(AT)
