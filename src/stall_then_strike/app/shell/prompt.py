"""Settings of the interpreter for a process in which one thread has to answer at once.

- *Collections.* A full garbage collection looks at everything that was ever imported and holds the event loop for 50 ms
  and more. What is there when trading begins lasts to its end, so it is taken out of the collector's sight.
- *Turns.* A thread that wants the interpreter waits up to 5 ms for it (CPython's default), also the event loop after
  each call into SQLite or the system, when a log writer was quicker. Half a millisecond is ample for the writers.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

TURN_S: Final = 0.0005


def answer_promptly() -> None:
    """For the rest of the process; call it when what lasts is loaded, and nothing is urgent yet."""
    sys.setswitchinterval(TURN_S)
    gc.collect()
    gc.freeze()
