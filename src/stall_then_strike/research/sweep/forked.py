"""What the workers of a local sweep are forks of: a process that imports this has all that a run needs.

That is, the modules of a run, and the compiled functions loaded from their cache, which takes a quarter of a second.
"""

from __future__ import annotations

from stall_then_strike.research.replay.compiled import load
from stall_then_strike.research.replay.kernel_cache import is_compiled
from stall_then_strike.research.sweep import runs

__all__ = ["runs"]

if is_compiled():
    load()
