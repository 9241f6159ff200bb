"""The login on the venue's socket, which pybotters does: what it is given, and what it does not tell.

pybotters logs in at each handshake and then subscribes as if the venue had agreed, whatever the answer was; while it
waits, nothing reaches the handlers, and only its log hears of a refusal. So the proof of a login is the acknowledgement
of the private channel: before a login the venue refuses it with -32007 (seen on the wire). What the log heard is taken
for the *reason* only.
"""

from __future__ import annotations

import logging
import re
from typing import Final, Protocol

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


class KeyPair(Protocol):
    """What a login needs."""

    @property
    def key(self) -> str:
        """The API key."""
        ...

    @property
    def secret(self) -> str:
        """What signs; never shown."""
        ...


class LoginEar(logging.Handler):
    """Keeps why the venue refused the last login, as far as pybotters' log tells."""

    def __init__(self) -> None:
        """Heard nothing yet."""
        super().__init__(logging.WARNING)
        self.refusal = ""
        """The venue's words; empty if none were heard."""

    def open(self) -> None:
        """Begin to listen."""
        logging.getLogger(_PYBOTTERS_LOG).addHandler(self)

    def close(self) -> None:
        """Listen no more."""
        logging.getLogger(_PYBOTTERS_LOG).removeHandler(self)
        super().close()

    def forget(self) -> None:
        """Another login begins."""
        self.refusal = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record: pybotters logs the venue's answer as it is."""
        answer: object = record.msg
        if isinstance(answer, dict) and answer.get("id") == LOGIN_ID and "error" in answer:
            self.refusal = in_words(answer["error"])


def is_venues_fault(words: str) -> bool:
    """Whether a refusal speaks of the venue's state and not of the key. What says neither is a refusal of the key."""
    if _VENUES_WORDS.search(words):
        return True
    return bool(_VENUES_CODES.search(words)) and not _KEYS_WORDS.search(words)


def masked(text: str, pair: KeyPair) -> str:
    """The text without the key and the secret, should a venue ever send them back."""
    for hidden in (pair.secret, pair.key):
        if hidden:
            text = text.replace(hidden, "***")
    return text
