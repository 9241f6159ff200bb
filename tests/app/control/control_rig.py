"""A core on paper behind what the operator's room needs of a trader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.portfolio import Portfolio
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.types.dto import Command, Control, Event
from tests.engine.core_rig import START_NS, config, core_of


class OnStage:
    """A trader without a venue."""

    def __init__(self, **sections: Mapping[str, Any]) -> None:
        self.cfg: AppConfig = config(**sections)
        self.portfolio = Portfolio(self.cfg.risk, [core_of(self.cfg)])
        self.clock = VirtualClock(START_NS)
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        self.portfolio.on_event(event, self.clock.now_ns())

    @property
    def commands(self) -> list[Command]:
        return [event.command for event in self.events if isinstance(event, Control)]
