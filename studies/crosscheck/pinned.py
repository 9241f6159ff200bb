"""What hftbacktest 2.4.4 filled of one script of orders on the sample tape, as a digest.

`test_crosscheck` asks hftbacktest itself. `tests/studies/test_crosscheck.py` asks only our paper venue under its rules,
so that a change of the venue is noticed where hftbacktest is not installed.
"""

from __future__ import annotations

import hashlib

from stall_then_strike.config.models import AppConfig
from studies.crosscheck import order_script
from studies.crosscheck.order_script import Order, Outcomes
from studies.crosscheck.same_terms import Tape

FILLS = 129
DIGEST = "f995ef59ebf59bfde805d9d2876ba1cd7470ea07dd742b17259ffef58a9b742b"
OURS = 113
"""Fills by our own rules."""
AGREE = 598
"""Orders, of 653, that have the same fills by our own rules."""


def script(tape: Tape, cfg: AppConfig) -> list[Order]:
    """The orders in question."""
    return order_script.script(tape.messages, cfg, seed=1, every_ms=100, longest_ms=5_000)


def digest(outcomes: Outcomes) -> str:
    """Of moment, price and size of each fill of each order."""
    return hashlib.sha256(repr(sorted(outcomes.items())).encode()).hexdigest()
