"""Settings read anew while a run trades: the difference, what of it may be applied at once, and applying it.

What may change between two decisions is listed in ``config.changes``. Everything else needs a restart and is only
named. Settings that the configuration refuses, alone or together, change nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from stall_then_strike.app.control.verbs import Act, Answer
from stall_then_strike.config.changes import RISK_KEYS, STRATEGY_KEYS, Difference, differences, with_changes
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.portfolio import Portfolio
from stall_then_strike.engine.strategy import Tunable
from stall_then_strike.infra.clock import Clock
from stall_then_strike.types.dto import Event, NewSettings, SettingChange
from stall_then_strike.types.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """A run's settings as they were read, and how to read them again."""

    cfg: AppConfig
    read: Callable[[], AppConfig]
    """Reads the files again; raises ConfigError."""


class Commanded(Protocol):
    """A trader, as far as it is commanded from here."""

    portfolio: Portfolio
    clock: Clock

    def on_event(self, event: Event) -> None:
        """Take an event."""
        ...


@dataclass(frozen=True, slots=True)
class Preview:
    """What new settings would change."""

    applied: Sequence[Difference]
    """May change at once."""
    awaiting: Sequence[Difference]
    """Need a restart."""

    @property
    def digest(self) -> str:
        """Stands for exactly this difference."""
        return sha256("\n".join(self.lines()).encode()).hexdigest()[:12]

    def lines(self) -> Iterator[str]:
        """For the operator."""
        for one in self.applied:
            yield f"{one} (at once)"
        for one in self.awaiting:
            yield f"{one} (needs a restart)"

    def text(self) -> str:
        """The lines together."""
        return "\n".join(self.lines()) or "nothing differs"


class Reloading:
    """Reads and applies the settings of one run."""

    def __init__(self, settings: Settings, trader: Commanded) -> None:
        """``settings`` are those that the run began with."""
        self._cfg, self._read, self._trader = settings.cfg, settings.read, trader
        self._busy = asyncio.Lock()
        strategies = [core.strategy for core in trader.portfolio.cores]
        is_tunable = all(isinstance(strategy, Tunable) for strategy in strategies)
        self._keys = RISK_KEYS | STRATEGY_KEYS if is_tunable else RISK_KEYS

    async def preview(self) -> Preview:
        """Read the settings and compare them. Raises ConfigError if they cannot be used."""
        new = await asyncio.to_thread(self._read)
        if new.products != self._cfg.products:
            raise ConfigError(f"the instruments are others now ({', '.join(new.products)}): this needs a restart")
        found = differences(self._cfg, new)
        may = [one.bare_key in self._keys for one in found]
        return Preview(
            applied=tuple(one for one, yes in zip(found, may, strict=True) if yes),
            awaiting=tuple(one for one, yes in zip(found, may, strict=True) if not yes),
        )

    async def apply(self, act: Act, seen: str = "") -> Answer:
        """Apply what may change at once. ``seen``, if given, is the digest of the only difference that is meant."""
        async with self._busy:
            try:
                preview = await self.preview()
                if seen and preview.digest != seen:
                    return Answer(False, f"the settings have changed since they were shown:\n{preview.text()}")
                return self._apply(preview, act)
            except ConfigError as error:
                return Answer(False, f"nothing is changed: {error}")

    def _apply(self, preview: Preview, act: Act) -> Answer:
        changes = tuple(SettingChange(key=one.key, value=one.new) for one in preview.applied)
        if changes:
            try:
                self._cfg = with_changes(self._cfg, changes)
            except ValueError as error:
                raise ConfigError(f"what may change at once does not fit what needs a restart: {error}") from error
            said = "; ".join(map(str, preview.applied))
            now_ns = self._trader.clock.now_ns()
            self._trader.on_event(NewSettings(ts_ns=now_ns, changes=changes, detail=f"{act.detail}: {said}"))
        return Answer(True, preview.text())
