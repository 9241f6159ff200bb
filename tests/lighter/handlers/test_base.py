"""What all handlers share."""

from __future__ import annotations

from stall_then_strike.lighter.handlers.base import Handler, Message


class Plain(Handler[int]):
    def handle(self, message: Message, recv_ns: int) -> int:
        return recv_ns


def test_handler_recognises_its_channel_and_first_messages() -> None:
    handler = Plain("ticker", 3)
    first = {"type": "subscribed/ticker", "channel": "ticker:3"}
    assert (handler.channel, handler.wire_name) == ("ticker/3", "ticker:3")
    assert handler.can_handle(first)
    assert handler.is_first(first)
    later = {**first, "type": "update/ticker"}
    assert handler.can_handle(later)
    assert not handler.is_first(later)
    assert not handler.can_handle({**first, "channel": "ticker:4"})
    handler.on_gap()
    assert handler.handle(first, 7) == 7
