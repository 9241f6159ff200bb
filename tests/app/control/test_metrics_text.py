"""Figures in Prometheus' text format, read back by its rules; dashboard and alerts name only what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from stall_then_strike.app.control.metrics_text import Histograms, metrics_text
from stall_then_strike.app.view.snapshot import Halt
from stall_then_strike.infra.watch.histogram import LatencyHistogram
from tests.app.view.snapshots import EMPTY, LIVE, TWO, changed

OPS = Path(__file__).resolve().parents[3] / "ops"
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (-?\d[\d.e+-]*|\+Inf)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def histograms(*durations: int) -> Histograms:
    one = LatencyHistogram()
    for duration in durations:
        one.add(duration)
    return Histograms(decision=one, round_trip=LatencyHistogram(), lag=LatencyHistogram())


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All samples; each belongs to the family announced before it, and none stands twice."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    families: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            families.append(line.split()[2])
        elif line.startswith("# TYPE "):
            assert line.split()[2] == families[-1]
        else:
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            name, labels, value = match.groups()
            assert name.startswith(families[-1])
            key = (name, tuple(LABEL.findall(labels or "")))
            assert key not in found, line
            found[key] = float(value)
    assert len(families) == len(set(families))
    return found


def test_figures_are_those_of_the_snapshot() -> None:
    found = parsed(metrics_text(LIVE, histograms()))
    (one,) = LIVE.instruments
    product = (("product", one.product),)
    assert found["sts_position", product] == float(one.position)
    assert found["sts_day_result", (("currency", "JPY"),)] == float(LIVE.day.pnl)
    assert found["sts_fills_total", product] == one.counts.fills
    assert found["sts_account_settled", ()] == 1
    use = LIVE.budget[0]
    assert found["sts_limit_used", (("limit", use.name),)] == use.used
    books = {key[1][1][1]: value for key, value in found.items() if key[0] == "sts_book_status"}
    assert sum(books.values()) == 1
    assert books[one.book.name.lower()] == 1


@pytest.mark.parametrize("seen", [EMPTY, LIVE, TWO])
def test_every_snapshot_can_be_told(seen: object) -> None:
    assert isinstance(seen, type(EMPTY))
    assert parsed(metrics_text(seen, histograms()))["sts_halted", (("reason", ""),)] == 0


def test_text_from_outside_cannot_break_out_of_a_label() -> None:
    evil = 'x"} 1\nsts_halted{reason="\\'
    found = parsed(metrics_text(changed(LIVE, halt=Halt(reason=evil), mode=evil), histograms()))
    escaped = evil.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    assert found["sts_halted", (("reason", escaped),)] == 1


def test_buckets_add_up() -> None:
    durations = [1, 2**14 - 1, 2**14, 2**20, 2**33, 2**50]
    found = parsed(metrics_text(EMPTY, histograms(*durations)))
    buckets = {key[1][0][1]: value for key, value in found.items() if key[0] == "sts_decision_seconds_bucket"}
    assert list(buckets.values()) == sorted(buckets.values())
    assert buckets[repr(2**14 / 1e9)] == 2
    assert buckets[repr(2**20 / 1e9)] == 3
    assert buckets[repr(2**34 / 1e9)] == 5
    assert buckets["+Inf"] == found["sts_decision_seconds_count", ()] == 6
    assert found["sts_decision_seconds_sum", ()] == pytest.approx(sum(durations) / 1e9)


# --- ops/


def known() -> set[str]:
    seen = changed(LIVE, halt=Halt(reason="kill_pnl"))
    return {name for name, _ in parsed(metrics_text(replace(seen, reconnects=1), histograms(5)))} | {
        "sts_decisions_total",
        "sts_reason_seconds_total",
    }


def named_in(expressions: str) -> set[str]:
    return set(re.findall(r"\bsts_[a-z_]+", expressions))


def test_dashboard_shows_what_there_is() -> None:
    dashboard = json.loads((OPS / "grafana-dashboard.json").read_text())
    targets = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(targets) > 15
    assert named_in(" ".join(targets)) <= known()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_alerts_watch_what_there_is() -> None:
    rules = [
        rule
        for group in yaml.safe_load((OPS / "prometheus-rules.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    assert len(rules) > 8
    for rule in rules:
        assert named_in(rule["expr"]) <= known() | {"sts_info"}, rule["alert"]
        assert rule["annotations"]["summary"]
        assert named_in(rule["expr"]) or "up{" in rule["expr"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here")
def test_promtool_accepts_rules_and_figures() -> None:
    subprocess.run(["promtool", "check", "rules", OPS / "prometheus-rules.yml"], check=True)
    text = metrics_text(LIVE, histograms(5)).encode()
    subprocess.run(["promtool", "check", "metrics"], input=text, check=True)
