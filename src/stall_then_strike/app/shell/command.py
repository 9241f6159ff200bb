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
from stall_then_strike.types.errors import ConfigError, FeedError, JournalError, LogError, LoginRefused

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_HALTED: Final = 3
EXIT_INTERRUPTED: Final = 130

Errors = tuple[type[Exception], ...]
USAGE: Final[Errors] = (ConfigError, LoginRefused)
"""Errors that the operator has to mend before the command is worth another try."""
_EXPECTED: Final[Errors] = (FeedError, JournalError, LogError, PermissionError)


class Main(Protocol):
    """A command."""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run and return the exit code."""
        ...


def command(
    name: str, *, patient: bool = False, silent: str | None = None, expects: Errors = (), usage: Errors = USAGE
) -> Callable[[Main], Main]:
    """Make a command whose output can neither block nor end it (:mod:`output`).

    ``patient`` commands, which answer a question, wait for their reader while there is one. What the package ``silent``
    logs is not shown.

    An error that is expected of every command, or in ``expects``, is told in a line and ends the command with
    EXIT_FAILED; one of ``usage`` with EXIT_USAGE. Any other exception is a bug: it has a traceback, and EXIT_FAILED.
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
                except Exception as error:  # noqa: BLE001 - the interpreter would block on writing the traceback
                    return ended_by(error, name, expects, usage)
                finally:
                    if silent is not None:
                        logger.enable(silent)
                    with suppress(ValueError):  # the run's own log has replaced it
                        logger.remove(sink)

        return run

    return wrap


def ended_by(error: Exception, name: str, expects: Errors = (), usage: Errors = USAGE) -> int:
    """Tell what ended a command, and return its exit code; see :func:`command`."""
    causes = leaves(error)
    if not all(isinstance(cause, (*_EXPECTED, *expects, *usage)) for cause in causes):
        traceback.print_exception(error)
        return EXIT_FAILED
    for text in dict.fromkeys(map(_told, causes)):
        sys.stderr.write(f"{name}: {text}\n")
    return EXIT_USAGE if any(isinstance(cause, usage) for cause in causes) else EXIT_FAILED


def _told(error: BaseException) -> str:
    if isinstance(error, PermissionError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions inside nested exception groups; a plain exception is returned alone."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in leaves(part)]
    return [error]
