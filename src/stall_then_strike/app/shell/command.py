"""What makes a function a command: its output, its errors, its exit codes. Imports little: `sts` starts at once.

Exit codes: 0 done, or stopped by a signal in good order; 1 runtime failure; 2 bad configuration or arguments, before
anything is sent; 3 halted by the kill switch; 130 stopped by a signal before the run began (`sweep` and compiled
`backtest`: before all was done). A screen that cannot be written does not change the exit code.
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from loguru import logger

from stall_then_strike.app.shell.command_parser import hint
from stall_then_strike.app.shell.output import watched

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_HALTED: Final = 3
EXIT_INTERRUPTED: Final = 130


class Main(Protocol):
    """A command."""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run and return the exit code."""
        ...


def command(name: str, *, patient: bool = False, silent: str | None = None) -> Callable[[Main], Main]:
    """Make a command whose output can neither block nor end it (:mod:`output`).

    ``patient`` commands, which answer a question, wait for their reader while there is one. What the package ``silent``
    logs is not shown. An unexpected exception is shown and ends the command with EXIT_FAILED.
    """

    def wrap(main: Main) -> Main:
        @functools.wraps(main)
        def run(argv: Sequence[str] | None = None) -> int:
            with watched(patient=patient):
                logger.remove()
                sink = logger.add(sys.stderr, level="WARNING", format=f"{name}: {{message}}")
                if silent is not None:
                    logger.disable(silent)
                if sys.stderr.isatty():
                    sys.stderr.write(hint(name))
                try:
                    return main(argv)
                except KeyboardInterrupt:
                    sys.stderr.write(f"{name}: interrupted\n")
                    return EXIT_INTERRUPTED
                except Exception:  # noqa: BLE001 - the interpreter would block on writing the traceback
                    traceback.print_exc()
                    return EXIT_FAILED
                finally:
                    if silent is not None:
                        logger.enable(silent)
                    with suppress(ValueError):  # the run's own log has replaced it
                        logger.remove(sink)

        return run

    return wrap
