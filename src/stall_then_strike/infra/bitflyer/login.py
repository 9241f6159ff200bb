"""The login on the venue's socket, which pybotters performs: why it was refused.

pybotters logs in at each handshake and then subscribes, whatever the venue answered. While it waits for the answer
nothing reaches the handlers, and a refusal appears only in its log. So the proof of a login is the acknowledgement of
the private channel, which the venue refuses with -32007 before a login (seen on the wire). The log is used only for the
*reason* of a refusal.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from stall_then_strike.infra.line.refusals import in_words

LOGIN_ID: Final = "auth"
"""The id of pybotters' login requests."""

_PYBOTTERS_LOG: Final = "pybotters.ws"
_VENUES_WORDS: Final = re.compile(
    r"internal|server|unavailable|maintenance|timed? ?out|busy|overload|try again|temporar", re.IGNORECASE
)
_VENUES_CODES: Final = re.compile(r"\((-32603|-32000|5\d\d)\)")
"""JSON-RPC's own internal and server errors, and HTTP's."""
_KEYS_WORDS: Final = re.compile(r"key|sign|auth|permission|nonce|timestamp|secret", re.IGNORECASE)


class LoginEar(logging.Handler):
    """A log handler that picks the venue's refusal of the last login out of pybotters' log."""

    def __init__(self) -> None:
        """Start without a refusal."""
        super().__init__(logging.WARNING)
        self.refusal = ""
        """The venue's message; empty if none was logged."""

    def open(self) -> None:
        """Start listening."""
        logging.getLogger(_PYBOTTERS_LOG).addHandler(self)

    def close(self) -> None:
        """Stop listening."""
        logging.getLogger(_PYBOTTERS_LOG).removeHandler(self)
        super().close()

    def forget(self) -> None:
        """Drop the last refusal, because another login begins."""
        self.refusal = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Check a record: pybotters logs the venue's answer as a dict."""
        answer: object = record.msg
        if isinstance(answer, dict) and answer.get("id") == LOGIN_ID and "error" in answer:
            self.refusal = in_words(answer["error"])


def is_venues_fault(words: str) -> bool:
    """Whether a refusal is about the venue's state, not the key. An unclear text counts as a refusal of the key."""
    if _VENUES_WORDS.search(words):
        return True
    return bool(_VENUES_CODES.search(words)) and not _KEYS_WORDS.search(words)
