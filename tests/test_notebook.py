"""The analysis notebook runs from top to bottom on logs as a run leaves them, and says so when there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from stall_then_strike.config.models import LogConfig
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.run_list import RunList
from stall_then_strike.types.instrument import fx_btc_jpy
from tests.e2e.commands import newest, rows, run

nbformat = pytest.importorskip("nbformat", reason="the optional group `notebook` is not installed")
nbclient = pytest.importorskip("nbclient", reason="the optional group `notebook` is not installed")


NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "analysis.ipynb"
START = 1_795_246_213_123_456_789


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
    logs = tmp_path / "logs"
    traded = run("run_paper", "--sim", "--speed", "max", "--duration", "600", "--log-dir", logs)
    assert traded.returncode == 0, traded.stderr
    fills, orders, decisions = (rows(logs, kind) for kind in ("trades", "orders", "decisions"))
    quotes = [row for row in orders if row["action"] == "place" and row["tag"] == "stall"]
    filled = {row["order_id"] for row in fills} & {row["order_id"] for row in quotes}
    with next((newest(logs) / "orders").glob("*.csv")).open("a") as cut:
        cut.write('2026-01-05T07:40:13.123456Z,place,J9,9,BUY,136,0.001,GTC,800,stall,"cut by a cra')
    assert run("run_paper", "--sim", "--speed", "max", "--duration", "20", "--log-dir", logs).returncode == 0
    monkeypatch.setenv("STS_RUN", RunList(logs).all[0].name)
    texts = executed(logs, monkeypatch)
    assert any(f"run {RunList(logs).all[0].name}: paper-sim, FX_BTC_JPY of bitflyer" in text for text in texts)
    assert any(f"{len(fills)} fills, {len(orders):,} order events, {len(decisions):,} decisions" in t for t in texts)
    assert any("Realised PnL" in text and "application/vnd.plotly" in text for text in texts)
    assert any("fill_ratio" in text and f"{len(filled) / len(quotes):.6f}" in text for text in texts)
    assert any("hold: stall_immature" in text for text in texts)
    assert not any("no fills in" in text for text in texts)
    # An exported page shows HTML, not plotly's own type: each figure's, and once plotly itself, from no address.
    figures = [text for text in texts if "application/vnd.plotly" in text]
    assert len(figures) == 5
    assert all("text/html" in text and "Plotly.newPlot" in text for text in figures)
    assert [len(text) > 1_000_000 for text in figures] == [True, False, False, False, False]
    assert not any("cdn.plot.ly/plotly" in text for text in figures)


@pytest.mark.usefixtures("kernel_environment")
def test_notebook_says_so_when_nothing_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CsvLogs(tmp_path / "logs", fx_btc_jpy(), LogConfig(), start_ns=START):
        pass
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
