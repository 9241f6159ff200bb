"""What must not stand in a measurement's way: rate limits (a strike is a sample, and more are taken than the venue
allows), and the other process on one's own processor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from stall_then_strike.config.models import LimitsConfig

MANY: Final = 10**9
WIDE: Final = {name: MANY for name in LimitsConfig.model_fields if "_per_" in name}
"""Every window of the configuration, the address's included."""


@contextmanager
def apart(trader: int) -> Iterator[None]:
    """Keep this process and the trader's, given by its id, on two processors; nothing where there is one alone.

    Otherwise an exchange that is woken by the first order of a strike, on the trader's processor, takes it away before
    the second is sent.
    """
    if not hasattr(os, "sched_setaffinity") or len(own := os.sched_getaffinity(0)) < 2:
        yield
        return
    os.sched_setaffinity(trader, {max(own)})
    os.sched_setaffinity(0, own - {max(own)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)
