"""Our paper venue under hftbacktest's rules still fills as hftbacktest did (`make crosscheck` asks it again)."""

from __future__ import annotations

from studies.crosscheck import order_script, pinned
from studies.crosscheck.order_script import Outcomes, outcomes
from studies.crosscheck.same_terms import Tape, settings
from studies.crosscheck.their_rules import Rule, Theirs
from tests.e2e.commands import SAMPLE


def test_under_all_rules_the_fills_are_those_that_hftbacktest_made() -> None:
    tape, cfg, theirs = Tape(SAMPLE), settings(), Theirs()
    orders = pinned.script(tape, cfg)

    def played(rules: tuple[Rule, ...]) -> Outcomes:
        fills, _ = order_script.play(tape.messages, cfg, orders, rules, theirs, tape.depth)
        return outcomes(fill for fill in fills if fill.ts_ns < tape.end_ns)

    ours, ruled = played(()), played(tuple(Rule))
    assert (sum(map(len, ruled.values())), pinned.digest(ruled)) == (pinned.FILLS, pinned.DIGEST)
    assert sum(map(len, ours.values())) == pinned.OURS
    assert sum(ours.get(number) == ruled.get(number) for number in range(len(orders))) == pinned.AGREE
