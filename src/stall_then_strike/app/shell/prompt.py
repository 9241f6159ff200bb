"""Interpreter settings for a process in which one thread must answer at once.

- *Garbage collection.* A full collection visits everything that was imported and stops the event loop for 50 ms and
  more. Objects that exist when trading begins last to its end, so they are excluded from collections.
- *Thread switching.* A thread waits up to 5 ms for the interpreter (CPython's default). This includes the event loop
  after each call into SQLite or the system, if a log writer was quicker. Half a millisecond is enough for the writers.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

TURN_S: Final = 0.0005


def leave_out_what_lasts() -> None:
    """Let collections look only at what is made from here on, for the rest of the process."""
    gc.collect()
    gc.freeze()


def answer_promptly() -> None:
    """Apply the settings for the rest of the process; call it after loading, before anything is urgent."""
    sys.setswitchinterval(TURN_S)
    leave_out_what_lasts()
