"""The generated market is within its bands, and the recorded figures that the project keeps are those of the data."""

from __future__ import annotations

import pytest

from stall_then_strike.research.figures.market_facts import MEASURES
from stall_then_strike.sim.exchange.flow_model import REGIMES
from studies.facts import ROWS, committed, generated, outside, recorded, shared_folder, table


def test_every_figure_of_the_generated_market_is_within_its_band() -> None:
    made = generated(REGIMES["real"], seeds=(1, 2), seconds=900, has_intervals=False)
    assert {row.name for row in ROWS} <= made.keys()
    assert outside(made) == [], table(committed(), made)


def test_harder_and_calmer_markets_differ_where_they_should() -> None:
    calm, real, toxic = (
        generated(REGIMES[name], seeds=(1,), seconds=400, has_intervals=False)["impact_1s"].value
        for name in ("calm", "real", "toxic")
    )
    assert calm < real < toxic


def test_committed_figures_are_those_of_the_recordings() -> None:
    folder = shared_folder()
    if folder is None:
        pytest.skip("the recordings are not here (set STS_SHARED to the folder that holds data/bitflyer)")
    found, held = recorded(folder), committed()
    assert found.keys() == held.keys()
    for name, figures in found.items():
        assert figures.keys() == held[name].keys()
        for key, estimate in figures.items():
            assert estimate.value == pytest.approx(held[name][key].value), (name, key)


def test_recorded_figures_are_within_the_bands_or_named_as_kinder() -> None:
    """A band is chosen around what was recorded."""
    held = committed()
    assert [row.name for row in ROWS if not row.low <= held[row.source][row.name].value <= row.high] == []
    assert {row.name for row in ROWS} <= {*MEASURES, "accept_to_match_s"}
