"""Wherever tapes can be given, a folder of recordings can be given too: files that are not tapes are skipped."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.config.models import AppConfig
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.tapes.tape_files import market_of_tapes, price_steps, require_product, tape_files
from stall_then_strike.tapes.tape_reader import TapeLine
from stall_then_strike.tapes.tape_tools import write_tape
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.types.instrument import Instrument, Lots
from tests.e2e.commands import run

PRODUCT = "FX_BTC_JPY"
SETTINGS = (
    *("--config", "configs/sim.yml", "--set", "record.enabled=true"),
    *("--speed", "max", "--duration", "120", "--seed", "7"),
)


def made(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return [folder / name for name in names]


def test_folder_gives_its_tapes_of_the_product_in_order_of_time(tmp_path: Path) -> None:
    late, early, _, other, _ = made(
        tmp_path / "R",
        f"{PRODUCT}-20260105T01Z.jsonl.zst",
        f"{PRODUCT}-20260105T00Z.jsonl.zst",
        f"{PRODUCT}-20260105T00Z.jsonl.zst.json",
        "XRP_JPY-20260105T00Z.jsonl.zst",
        f"{PRODUCT}-20260105T02Z.jsonl.zst.part",
    )
    (own,) = made(tmp_path / "R", "my-own.jsonl")
    (events,) = made(tmp_path / "R", f"{PRODUCT}-20260105T000000Z-live.events.jsonl.zst")
    found = tape_files([tmp_path / "R"], PRODUCT)
    assert found.tapes == [early, late, own]
    assert found.passed_over == [events, other]
    assert found.words() == f"skipped, not a tape of this product: {events.name}, {other.name}"
    named = tape_files([late, events, early], PRODUCT)  # as the shell names them, in the order given
    assert (named.tapes, named.passed_over) == ([late, early], [events])


XRP = Instrument(
    product_code="XRP_JPY", tick_size=Decimal("0.001"), lot_size=Decimal("0.000001"), min_size=Lots(100_000)
)
"""A product with prices of three decimals."""


@pytest.fixture(scope="module")
def xrp_tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, start_ns = tmp_path_factory.mktemp("xrp") / "xrp.jsonl", 1_767_571_200 * 10**9
    frames = iter_frames(Market(seed=3, start_ns=start_ns, instrument=XRP), start_ns + 60 * 10**9)
    write_tape(path, (TapeLine(frame.time_ns, frame.text) for frame in frames), "generated")
    return path


def settings(**exchange: object) -> AppConfig:
    return AppConfig.model_validate({"exchange": exchange, "ws": {"channels": ()}})


def test_tape_of_another_product_is_refused_with_what_to_set(xrp_tape: Path) -> None:
    with pytest.raises(ConfigError, match="a tape of XRP_JPY, the settings are of FX_BTC_JPY") as refused:
        require_product([xrp_tape], settings())
    said = str(refused.value)
    for wanted in ("--set exchange.product_code=XRP_JPY", "--set ws.channels=[]", "exchange.tick_size=0.001"):
        assert wanted in said


def test_prices_finer_than_the_settings_are_refused_with_what_to_set(xrp_tape: Path) -> None:
    assert price_steps(xrp_tape) == {"XRP_JPY": Decimal("0.001")}
    with pytest.raises(ConfigError, match=r"accepted: --set exchange\.tick_size=0\.001"):
        require_product([xrp_tape], settings(product_code="XRP_JPY", tick_size=Decimal("0.01")))
    require_product([xrp_tape], settings(product_code="XRP_JPY", tick_size=Decimal("0.001")))


def test_product_with_fractional_prices_runs_through_check_backtest_and_report(xrp_tape: Path, tmp_path: Path) -> None:
    assert "good" in run("tape", "check", xrp_tape).stdout
    units = {"tick_size": "0.001", "size_step": "0.000001", "size_min": "0.1"}
    sets = ["exchange.product_code=XRP_JPY", "ws.channels=[]", "strategy.size_min=0.1", "strategy.max_inventory_btc=10"]
    flags = [text for one in (*sets, *(f"exchange.{k}={v}" for k, v in units.items())) for text in ("--set", one)]
    ended = run("backtest", xrp_tape, "--engine", "interpreted", "--log-dir", tmp_path / "logs", *flags)
    assert ended.returncode == 0, ended.stderr
    assert "XRP" in ended.stdout
    pytest.importorskip("polars")
    out = tmp_path / "report.html"
    assert run("report", tmp_path / "logs", "--tape", xrp_tape, "--out", out, *flags).returncode == 0
    page = out.read_text()
    own = page[page.index("<header>") : page.index("<script")]
    assert "XRP" in own
    assert "BTC" not in own
    assert "Market: generated" in own


@pytest.mark.parametrize(
    ("manifest", "name", "market"),
    [
        ('{"source": "wss://ws.lightstream.bitflyer.com/json-rpc"}', "a", "real"),
        ('{"source": "ws://127.0.0.1:8443/json-rpc"}', "a", "generated"),
        ('{"source": "the embedded exchange"}', "a", "generated"),
        ('{"market": "derived", "source": "wss://a.b"}', "a", "derived"),
        ("broken", "a", "unknown"),
        (None, "derived-FX_BTC_JPY-20250716", "derived"),
        (None, "a", "unknown"),
    ],
)
def test_manifest_or_name_says_of_what_market_a_tape_is(
    manifest: str | None, name: str, market: str, tmp_path: Path
) -> None:
    (tape,) = made(tmp_path, f"{name}.jsonl.zst")
    if manifest is not None:
        (tmp_path / f"{name}.manifest.json").write_text(manifest)
    assert market_of_tapes([tape]) == market


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "no tape of FX_BTC_JPY; accepted"),
        (["x.events.jsonl.zst"], "no tape of FX_BTC_JPY, but 1 other recording(s); accepted"),
    ],
)
def test_no_tape_left_is_refused(names: list[str], words: str, tmp_path: Path) -> None:
    made(tmp_path / "R", *names)
    with pytest.raises(ConfigError, match="accepted: a tape") as refused:
        tape_files([tmp_path / "R"], PRODUCT)
    assert words in str(refused.value)
    with pytest.raises(ConfigError, match="nowhere: not a file or folder"):
        tape_files([tmp_path / "nowhere"], PRODUCT)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run's logs, and the folder of its recordings."""
    folder = tmp_path_factory.mktemp("recorded")
    logs, raw = folder / "logs", folder / "R"
    done = run("run_paper", "--sim", *SETTINGS, "--set", f"record.dir={raw}", "--log-dir", logs)
    assert done.returncode == 0, done.stderr
    assert list(raw.glob("*.events.jsonl.zst"))
    return logs, raw


Named = Callable[[Path], list[Path]]
WAYS: list[Named] = [lambda raw: [raw], lambda raw: sorted(raw.glob("*.jsonl.zst"))]


@pytest.mark.parametrize("named", WAYS, ids=["the folder", "its files"])
def test_report_and_backtest_take_a_folder_of_ones_own_recordings(
    named: Named, recorded: tuple[Path, Path], tmp_path: Path
) -> None:
    logs, raw = recorded
    tapes = [str(path) for path in named(raw)]
    flags = [word for tape in tapes for word in ("--tape", tape)]
    report = run("report", logs, *flags, "--out", tmp_path / "report.html")
    assert report.returncode == 0, report.stderr
    assert report.stderr.startswith("report: --tape: skipped, not a tape of this product: ")
    replayed = run("backtest", *tapes, "--config", "configs/sim.yml", "--log-dir", tmp_path / "logs")
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stderr.startswith("backtest: skipped, not a tape of this product: ")
    assert "output " in replayed.stdout


def test_event_log_alone_is_named_as_one(recorded: tuple[Path, Path], tmp_path: Path) -> None:
    (events,) = recorded[1].glob("*.events.jsonl.zst")
    for command in (
        ["backtest", events],
        ["run_paper", "--tape", events],
        ["sweep", "--grid", "paper.seed=1,2", "--tape", events],
    ):
        done = run(command[0], *command[1:])
        assert (done.returncode, done.stdout) == (2, "")
        assert "recording" in done.stderr or "event log" in done.stderr
