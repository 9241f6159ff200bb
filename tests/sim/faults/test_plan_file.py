"""Plans of faults from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from stall_then_strike.sim.faults.kinds import Fault, FaultKind, FaultPlan, FaultVenue, kinds_of
from stall_then_strike.sim.faults.plan_file import FaultEntry, load_fault_plan
from stall_then_strike.types.dto import BoardState, Health
from stall_then_strike.types.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs"
SAMPLE, LIGHTER_SAMPLE = CONFIGS / "faults.yml", CONFIGS / "faults-lighter.yml"


def write(folder: Path, text: str) -> Path:
    path = folder / "f.yml"
    path.write_text(text)
    return path


def test_sample_is_accepted_and_shows_nearly_every_kind() -> None:
    plan = load_fault_plan(SAMPLE)
    kinds = {fault.kind for fault in plan.faults}
    assert len(set(kinds_of(FaultVenue.BITFLYER)) - kinds) <= 4
    assert plan.quiet_from_s is not None
    assert plan.quiet_from_s <= 720


def test_lighters_sample_shows_all_kinds_of_its_own() -> None:
    plan = load_fault_plan(LIGHTER_SAMPLE, FaultVenue.LIGHTER)
    own = set(kinds_of(FaultVenue.LIGHTER)) - set(kinds_of(FaultVenue.BITFLYER))
    assert own <= {fault.kind for fault in plan.faults}
    assert plan.quiet_from_s is not None
    assert plan.quiet_from_s <= 420


def test_a_kind_of_another_venue_is_refused_with_its_place(tmp_path: Path) -> None:
    path = write(
        tmp_path, "faults:\n  - { kind: lose_frame }\n  - { kind: wrong_mid }\n  - { kind: null_list, code: 21120 }\n"
    )
    with pytest.raises(ConfigError) as refused:
        load_fault_plan(path, FaultVenue.LIGHTER)
    [_, first, second] = str(refused.value).splitlines()
    assert ":3: faults.1.kind: wrong_mid is no fault of Lighter's exchange; accepted: lose_frame, " in first
    assert "wrong_mid" not in first.partition("accepted:")[2]
    assert ":4: faults.2.code: null_list does not take it; accepted: path" in second
    with pytest.raises(ConfigError, match="null_list is no fault of bitFlyer's exchange"):
        load_fault_plan(path)


def test_file_gives_the_faults_that_code_would() -> None:
    assert set(FaultEntry.model_fields) == set(Fault.__dataclass_fields__)


def test_every_option_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
seed: 5
faults:
  - { kind: delay_frame, name: x, channel: "a*", event: ORDER, seconds: 1.5, chance: 0.25, count: 3, skip: 1, to_s: 9 }
  - { kind: lose_fields, missing: [sfd], blank: true }
  - { kind: wrong_mid, ticks: -5 }
  - { kind: wrong_outstanding, lots: 7 }
  - { kind: lose_reply, method: auth }
  - { kind: server_error, path: /v1/x, http_status: 503 }
  - { kind: freeze_feed, backlog: true, from_s: 1, to_s: 2 }
  - { kind: busy, health: VERY BUSY, seconds: 0 }
  - { kind: halt_board, state: CLOSED, to_s: 30 }
""",
    )
    assert load_fault_plan(path) == FaultPlan(
        (
            Fault(
                kind=FaultKind.DELAY_FRAME,
                name="x",
                channel="a*",
                event="ORDER",
                seconds=1.5,
                chance=0.25,
                count=3,
                skip=1,
                to_s=9.0,
            ),
            Fault(kind=FaultKind.LOSE_FIELDS, missing=("sfd",), blank=True),
            Fault(kind=FaultKind.WRONG_MID, ticks=-5),
            Fault(kind=FaultKind.WRONG_OUTSTANDING, lots=7),
            Fault(kind=FaultKind.LOSE_REPLY, method="auth"),
            Fault(kind=FaultKind.SERVER_ERROR, path="/v1/x", http_status=503),
            Fault(kind=FaultKind.FREEZE_FEED, backlog=True, from_s=1.0, to_s=2.0),
            Fault(kind=FaultKind.BUSY, health=Health.VERY_BUSY, seconds=0.0),
            Fault(kind=FaultKind.HALT_BOARD, state=BoardState.CLOSED, to_s=30.0),
        ),
        seed=5,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: x\nfaults: []", 'f.yml:1: seed: "x" is not accepted; accepted: a whole number'),
        ("seed: 1", "f.yml:1: faults: is missing; accepted: a list of faults"),
        ("faults: 3", "f.yml:1: faults: 3 is not accepted; accepted: a list of faults"),
        ("faults: []\nwhat: 1", "f.yml:2: what: unknown key (given 1); accepted: seed, faults"),
        ("faults:\n  - 7", "f.yml:2: faults.0: 7 is not accepted; accepted: a mapping with the keys kind, name"),
        ("faults:\n  - { count: 1 }", "f.yml:2: faults.0.kind: is missing; accepted: lose_frame, delay_frame"),
        ("faults:\n  - kind: loose", 'f.yml:2: faults.0.kind: "loose" is not accepted; accepted: lose_frame'),
        ("faults:\n  - kind: busy\n    what: 1", "f.yml:3: faults.0.what: unknown key (given 1); accepted: kind"),
        ("faults:\n  - kind: busy\n    health: GOOD", 'f.yml:3: faults.0.health: "GOOD" is not accepted'),
        ("faults:\n  - kind: busy\n    count: 1.5", "f.yml:3: faults.0.count: 1.5 is not accepted"),
        (
            "faults:\n  - kind: lose_frame\n    chance: 2",
            "f.yml:3: faults.0.chance: 2.0 is not a probability; accepted: above 0",
        ),
        (
            "faults:\n  - kind: cut_network",
            "f.yml:2: faults.0.to_s: is missing; accepted: a number, because cut_network needs an end",
        ),
        ("faults: [", "f.yml:1: "),
    ],
)
def test_refusal_names_file_key_and_what_is_accepted(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_fault_plan(write(tmp_path, text))
    assert words in str(refused.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "faults:\n  - { kind: lose_frame, chance: 2, skip: -1 }\n  - { kind: cut_network }\n")
    with pytest.raises(ConfigError, match="3 errors in the faults"):
        load_fault_plan(path)


def test_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_fault_plan(tmp_path / "none.yml")
