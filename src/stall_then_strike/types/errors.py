"""Every exception of the project, ordered by what its catcher does about it.

::

    StallThenStrikeError
      ConfigError         exit 2: names file, key, value and what is accepted
      LogError            a log cannot be written: quoting stops, exit 1
      JournalError        the journal cannot be opened, read or written: nothing new is sent, exit 1
        JournalBusy         another program holds its lock: try again
      UnfitOrder          an order that the market cannot take as it is: nothing was sent, correct the call
      FeedError           the venue's feed cannot be received (no connection, no first snapshot): exit 1
        LoginRefused        the venue refuses our key for its private channel: exit 2
      VenueError          an order request went wrong; carries the request and the venue's code
        Retryable           it had no effect: safe to send again after a pause
          NotSent             it never left
          NoAnswer            a question without an answer
          Overloaded          the venue cannot take it now
        Rejected            the venue said no: do not send the same again
          MarginRefused       the collateral does not carry it: more would be refused as well
        AuthRefused         the key, its permission or our clock is refused: the operator has to act
        Throttled           a rate limit was exceeded: only exits before ``retry_at_ns``
          Restricted          the venue restricts this account's orders for a long time
        OutcomeUnknown      it may be live: resolve by evidence, never send again
        BatchFailed         some orders of a batch were not accepted: its results tell which, and why

Refusals by the engine (a limit, a gate) are values with a reason, not exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping


class StallThenStrikeError(Exception):
    """Base of all errors that this project raises on purpose."""


class ConfigError(StallThenStrikeError):
    """The configuration or a command-line argument cannot be used. The text is meant for the operator."""


class LogError(StallThenStrikeError):
    """A log file cannot be opened or written."""


class JournalError(StallThenStrikeError):
    """The journal cannot be opened (damaged, of another product or version, in use), read or written."""


class JournalBusy(JournalError):
    """Another program holds the journal's lock. The same call may be tried again."""


class UnfitOrder(StallThenStrikeError, ValueError):
    """A price, size or index that the market or the wire cannot hold. Raised before anything is sent."""


class FeedError(StallThenStrikeError):
    """The venue's feed cannot be reached or is silent."""


class LoginRefused(FeedError):
    """The venue refuses the login or the private channel at the start. The text is meant for the operator."""


class VenueError(StallThenStrikeError):
    """A request to the venue that did not simply succeed."""

    def __init__(self, request: str, detail: str, *, code: int | None = None) -> None:
        """Keep the facts as attributes. ``code`` is the venue's own status number, if it gave one."""
        super().__init__(request, detail, code)
        self.request = request
        self.detail = detail
        self.code = code
        self.calls = 1
        """Private calls that were made before it failed. A question may consist of several."""

    def __str__(self) -> str:
        """The error in one line."""
        code = "" if self.code is None else f" (venue code {self.code})"
        return f"{self.request}: {self.detail}{code}"


class Retryable(VenueError):
    """The request had no effect. The same request may be sent again after a pause."""


class NotSent(Retryable):
    """The request never left this machine."""


class NoAnswer(Retryable):
    """A question got no usable answer. For an order or a cancel the error is OutcomeUnknown instead."""


class Overloaded(Retryable):
    """The venue says that it accepted nothing, and to try again later (-208, maintenance)."""


class Rejected(VenueError):
    """The venue refused the request for good."""


class MarginRefused(Rejected):
    """The venue refused an order because the collateral does not carry it."""


class AuthRefused(VenueError):
    """The venue refused the key, its permission for this call, or the signature's time."""


class Throttled(VenueError):
    """The request exceeded a rate limit of the venue."""

    def __init__(self, request: str, detail: str, *, retry_at_ns: int, code: int | None = None) -> None:
        """``retry_at_ns`` is on our clock."""
        super().__init__(request, detail, code=code)
        self.retry_at_ns = retry_at_ns


class Restricted(Throttled):
    """The venue restricts this account's orders: their number is irregular."""


class OutcomeUnknown(VenueError):
    """The request may or may not have taken effect."""


class BatchFailed(VenueError):
    """Some requests of a batch were refused or have an unknown outcome; the others were accepted."""

    def __init__(self, request: str, detail: str, *, results: tuple[Mapping[str, object], ...]) -> None:
        """``results`` has one entry per request, in the order in which they were sent."""
        super().__init__(request, detail)
        self.results = results
