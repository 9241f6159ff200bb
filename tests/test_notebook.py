"""The analysis notebook runs from top to bottom on logs as a run leaves them, and says so when there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from stall_then_strike.config.models import LogConfig
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.types.dto import (
    CancelAllStall,
    ClientOrderId,
    DecisionLogRow,
    OrderId,
    OrderLogRow,
    PlaceLimit,
    Reason,
    Side,
    TimeInForce,
    TradeLogRow,
)
from stall_then_strike.types.instrument import Lots, Money, Ticks, fx_btc_jpy

nbformat = pytest.importorskip("nbformat", reason="the optional group `notebook` is not installed")
nbclient = pytest.importorskip("nbclient", reason="the optional group `notebook` is not installed")


NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "analysis.ipynb"
START = 1_795_246_213_123_456_789
SIZE = Lots(100_000)


def write_run(root: Path, strikes: int) -> None:
    """Logs of a run: every strike two quotes, every third one a fill and its close, the rest cancelled by age."""
    position = cash = 0
    with CsvLogs(root, fx_btc_jpy(), LogConfig(), start_ns=START) as logs:
        for number in range(strikes):
            ts = START + number * 1_700_000_000
            bid, ask = Ticks(13_600_000 + number % 7), Ticks(13_601_500 + number % 5)
            quotes = tuple(
                PlaceLimit(
                    client_order_id=ClientOrderId(f"{side}{number}"),
                    side=side,
                    price=price,
                    size=SIZE,
                    ttl_ms=800,
                    tag="stall",
                    reason=Reason.STRIKE,
                )
                for side, price in ((Side.BUY, bid), (Side.SELL, ask))
            )
            logs.write(decision(ts, "strike", Reason.STRIKE, bid, ask, quotes))
            for quote in quotes:
                logs.write(order(ts + 90_000_000, "place", f"J{quote.client_order_id}", quote.side, quote.price))
            if number % 3 == 0:
                side = Side.BUY if position <= 0 else Side.SELL
                position += side.sign * SIZE
                gain = (number % 11 - 5) * 10**9
                cash += gain
                logs.write(
                    TradeLogRow(
                        ts_ns=ts + 400_000_000,
                        order_id=f"J{side}{number}",
                        side=side,
                        price=bid if side is Side.BUY else ask,
                        size=SIZE,
                        fee=Money(0),
                        tag="stall",
                        pnl_jpy=Money(gain),
                        pnl_cum_jpy=Money(cash),
                        inventory_after=Lots(position),
                    )
                )
            cancel = CancelAllStall(order_ids=(OrderId("a"), OrderId("b")), reason=Reason.TTL)
            logs.write(decision(ts + 800_000_000, "cancel", Reason.TTL, Ticks(0), Ticks(0), (cancel,)))
            logs.write(decision(ts + 900_000_000, "hold", Reason.STALL_IMMATURE, Ticks(0), Ticks(0), ()))
    assert logs.failure is None


def decision(
    ts: int, kind: str, reason: Reason, bid: Ticks, ask: Ticks, actions: tuple[PlaceLimit | CancelAllStall, ...]
) -> DecisionLogRow:
    return DecisionLogRow(
        ts_ns=ts,
        best_age_ms=250 + ts % 97,
        spread_ticks=1500 + ts % 13,
        inventory=Lots(0),
        decision_type=kind,
        entry_bid_px=bid,
        entry_ask_px=ask,
        actions=actions,
        reason=reason,
    )


def order(ts: int, action: str, order_id: str, side: Side, price: Ticks) -> OrderLogRow:
    return OrderLogRow(
        ts_ns=ts,
        action=action,
        order_id=order_id,
        client_order_id=order_id[1:],
        side=side,
        price=price,
        size=SIZE,
        tif=TimeInForce.GTC,
        ttl_ms=800,
        tag="stall",
        reason='strike, "quoted"',
    )


@pytest.fixture
def kernel_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings in the notebook are errors; IPython leaves the home folder alone."""
    monkeypatch.setenv("PYTHONWARNINGS", "error::DeprecationWarning:__main__,error::FutureWarning:__main__")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")


def executed(log_dir: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run the notebook; return each code cell's output as text. A cell that fails, or warns, fails the test."""
    monkeypatch.setenv("STS_LOG_DIR", str(log_dir))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=100, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    texts = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        assert not [o for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"], cell.outputs
        texts.append("".join(str(o.get("data", o.get("text"))) for o in cell.outputs))
    return texts


@pytest.mark.usefixtures("kernel_environment")
def test_notebook_shows_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "logs", strikes=60)
    with (tmp_path / "logs" / "orders" / "orders-20261121.csv").open("a") as cut:
        cut.write('2026-11-21T07:40:13.123456Z,place,J9,9,BUY,136,0.001,GTC,800,stall,"cut by a cra')
    texts = executed(tmp_path / "logs", monkeypatch)
    assert any("20 fills, 120 order events, 180 decisions" in text for text in texts)
    assert any("Realised PnL" in text and "application/vnd.plotly" in text for text in texts)
    assert any("fill_ratio" in text and "0.166667" in text for text in texts)
    assert any("hold: stall_immature" in text for text in texts)
    assert not any("no fills in" in text for text in texts)


@pytest.mark.usefixtures("kernel_environment")
def test_notebook_says_so_when_nothing_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "logs", strikes=0)
    texts = executed(tmp_path / "logs", monkeypatch)
    assert any("0 fills, 0 order events, 0 decisions" in text for text in texts)
    for what in ("fills", "placed orders", "decisions", "strikes"):
        assert any(f"no {what} in " in text for text in texts)


def test_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
