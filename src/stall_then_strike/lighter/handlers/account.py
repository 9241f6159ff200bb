"""AccountHandler: the private channels of one account, as values of ``messages.py``.

What these values mean for orders, fills and positions is the account's matter; here a message is only recognised and
read. A map that is empty or absent means unchanged, not flat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stall_then_strike.lighter.handlers.base import Handler, Message, Unreadable
from stall_then_strike.lighter.messages import AnyFrame, UnreadableFrame, read_frame
from stall_then_strike.lighter.ws import DEDICATED_CHANNELS


class AccountHandler(Handler[AnyFrame]):
    """Reads all private channels of an account."""

    def __init__(self, account_index: int) -> None:
        """``account_all`` is the first of its channels."""
        super().__init__("account_all", account_index)
        self.account_index = account_index

    def can_handle(self, message: Mapping[str, Any]) -> bool:
        """Whether it is of a private channel of this account.

        ``account_orders`` names its market in the channel, and the account in a field.
        """
        kind, channel = str(message.get("type")).partition("/")[2], str(message.get("channel"))
        if kind not in DEDICATED_CHANNELS:
            return False
        if kind == "account_orders":
            return bool(message.get("account", self.account_index) == self.account_index)
        return channel.replace("/", ":").rpartition(":")[2] == str(self.account_index)

    def handle(self, message: Message, recv_ns: int) -> AnyFrame:
        """The message as a value. Raises Unreadable."""
        del recv_ns
        try:
            return read_frame(message)
        except UnreadableFrame as error:
            raise Unreadable(str(error)) from None
