"""Every exception of the project, by what its catcher does about it.

::

    StallThenStrikeError
      ConfigError         exit 2: names file, key, value and what is accepted
      LogError            a log cannot be written: quoting stops, exit 1
      FeedError           the venue cannot be heard (no connection, no first snapshot): exit 1
      VenueError          an order request went wrong; carries the request and the venue's code
        NotSent             it never left: safe to send again
        Rejected            the venue said no: do not send the same again
        Throttled           the venue said later: not before ``retry_at_ns``
        OutcomeUnknown      it may be live: resolve by evidence, never send again

Refusals by the engine (a limit, a gate) are values with a reason, not exceptions.
"""

from __future__ import annotations


class StallThenStrikeError(Exception):
    """Base of all errors that this project raises on purpose."""


class ConfigError(StallThenStrikeError):
    """The configuration or a command-line argument cannot be used. The text is meant for the operator."""


class LogError(StallThenStrikeError):
    """A log file cannot be opened or written."""


class FeedError(StallThenStrikeError):
    """The venue's public feed cannot be reached or says nothing."""


class VenueError(StallThenStrikeError):
    """An order request did not end in a plain yes."""

    def __init__(self, request: str, detail: str, *, code: int | None = None) -> None:
        """Keep the facts apart; ``code`` is the venue's own status number where it gave one."""
        super().__init__(request, detail, code)
        self.request = request
        self.detail = detail
        self.code = code

    def __str__(self) -> str:
        """Say it in one line."""
        code = "" if self.code is None else f" (venue code {self.code})"
        return f"{self.request}: {self.detail}{code}"


class NotSent(VenueError):
    """The request never left this machine."""


class Rejected(VenueError):
    """The venue refused the request for good."""


class Throttled(VenueError):
    """The venue refused the request because of a rate limit or overload."""

    def __init__(self, request: str, detail: str, *, retry_at_ns: int, code: int | None = None) -> None:
        """``retry_at_ns`` is on our clock."""
        super().__init__(request, detail, code=code)
        self.retry_at_ns = retry_at_ns


class OutcomeUnknown(VenueError):
    """The request may or may not have taken effect."""
