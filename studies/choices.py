"""What the study runs: which markets, which settings, and a digest by which its results are known again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final

from stall_then_strike.config.loader import load_app_config
from stall_then_strike.config.models import AppConfig

START_NS: Final = 1_767_571_200 * 10**9
"""2026-01-05 00:00 UTC, 09:00 in Tokyo: an hour without funding, roll-over or maintenance."""
_CONFIGS: Final = Path(__file__).resolve().parents[1] / "configs"
_MATTERING: Final = ("strategy", "risk", "paper")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Settings:
    """One choice of what is varied. Everything else is as in configs/base.yml."""

    latency_ms: int
    """From sending an order or a cancel to its effect, always the same."""
    stall_ms: int = 250
    ttl_ms: int = 800
    offset_ticks: int = 1
    reverse_ticks: int = 2
    quote_mode: str = "mid"

    def sets(self) -> list[str]:
        """As the commands take them by ``--set``."""
        found = [
            f"strategy.stall_T_ms={self.stall_ms}",
            f"strategy.ttl_ms={self.ttl_ms}",
            f"strategy.quote_offset_ticks={self.offset_ticks}",
            f"strategy.max_reverse_ticks={self.reverse_ticks}",
            f"strategy.quote_mode={self.quote_mode}",
        ]
        for which in ("order", "cancel"):
            found += [f"paper.{which}_latency.kind=constant", f"paper.{which}_latency.median_ms={self.latency_ms}"]
        return found

    def config(self) -> AppConfig:
        """The settings of a run. Raises ConfigError."""
        return _config(self)


@cache
def _config(settings: Settings) -> AppConfig:
    return load_app_config(_CONFIGS / "base.yml", _CONFIGS / "sim.yml", settings.sets())


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The markets and the grid."""

    seeds: tuple[int, ...] = tuple(range(1, 17))
    seconds: int = 3_600
    latencies_ms: tuple[int, ...] = (5, 50, 150)
    stalls_ms: tuple[int, ...] = (100, 250, 500, 1_000)
    ttls_ms: tuple[int, ...] = (400, 800, 1_600)
    offsets_ticks: tuple[int, ...] = (1, 150, 300, 500, 700)
    reverses_ticks: tuple[int, ...] = (2, 300, 1_000, 3_000)

    def grid(self) -> list[Settings]:
        """All combinations."""
        return [
            Settings(latency_ms=latency, stall_ms=stall, ttl_ms=ttl, offset_ticks=offset)
            for latency, stall, ttl, offset in product(
                self.latencies_ms, self.stalls_ms, self.ttls_ms, self.offsets_ticks
            )
        ]

    def reverses(self) -> list[Settings]:
        """When a position is closed, by quote offset, at each latency."""
        return [
            Settings(latency_ms=latency, offset_ticks=offset, reverse_ticks=reverse)
            for latency, offset, reverse in product(self.latencies_ms, self.offsets_ticks, self.reverses_ticks)
        ]

    def modes(self) -> list[Settings]:
        """Quotes at the best and a tick inside it."""
        return [
            replace(Settings(latency_ms=latency), quote_mode=mode)
            for mode, latency in product(("inside", "join"), self.latencies_ms)
        ]

    def all_settings(self) -> list[Settings]:
        """Every run, once."""
        return list(dict.fromkeys([*self.grid(), *self.reverses(), *self.modes()]))

    def digest(self) -> str:
        """A name for the study's choices and for the settings that its runs share."""
        shared = Settings(latency_ms=self.latencies_ms[0]).config().model_dump(mode="json")
        held = {"study": asdict(self), **{section: shared[section] for section in _MATTERING}}
        return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:16]
