"""What the study runs: which markets, which settings, and a digest by which its results are known again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final

from stall_then_strike.config.loader import load_app_config
from stall_then_strike.config.models import AppConfig

START_NS: Final = 1_767_571_200 * 10**9
"""2026-01-05 00:00 UTC, 09:00 in Tokyo: an hour without funding, roll-over or maintenance."""
_CONFIGS: Final = Path(__file__).resolve().parents[1] / "configs"
_MATTERING: Final = ("strategy", "risk", "paper")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Settings:
    """One choice of what is varied. Everything else is as in configs/base.yml."""

    latency_ms: int = 0
    """From sending an order or a cancel to its effect, always the same; 0: as paper trading draws it by default."""
    stall_ms: int = 250
    ttl_ms: int = 800
    offset_ticks: int = 1
    reverse_ticks: int = 2
    quote_mode: str = "mid"
    spread_ticks: int = 1
    """Narrowest spread in which it strikes."""

    def sets(self) -> list[str]:
        """As the commands take them by ``--set``."""
        found = [
            f"strategy.stall_T_ms={self.stall_ms}",
            f"strategy.ttl_ms={self.ttl_ms}",
            f"strategy.quote_offset_ticks={self.offset_ticks}",
            f"strategy.max_reverse_ticks={self.reverse_ticks}",
            f"strategy.quote_mode={self.quote_mode}",
            f"strategy.min_spread_tick={self.spread_ticks}",
        ]
        if self.latency_ms:
            for which in ("order", "cancel"):
                found += [f"paper.{which}_latency.kind=constant", f"paper.{which}_latency.median_ms={self.latency_ms}"]
        return found

    def config(self, draw: int = 1) -> AppConfig:
        """The settings of a run with one draw of latencies (``paper.seed``). Raises ConfigError."""
        return _config(self, draw)

    def words(self) -> str:
        """What differs from the base settings, as a reader would set it."""
        changed = [name for name in _WORDS if getattr(self, name) != getattr(BASE, name)]
        return ", ".join(_WORDS[name].format(getattr(self, name)) for name in changed) or "base"


_WORDS: Final = {
    "quote_mode": "quote_mode {}",
    "offset_ticks": "quote_offset_ticks {:,}",
    "spread_ticks": "min_spread_tick {:,}",
    "stall_ms": "stall_T_ms {:,}",
    "ttl_ms": "ttl_ms {:,}",
    "reverse_ticks": "max_reverse_ticks {:,}",
    "latency_ms": "latency {:,} ms",
}


@cache
def _config(settings: Settings, draw: int) -> AppConfig:
    return load_app_config(_CONFIGS / "base.yml", _CONFIGS / "sim.yml", [*settings.sets(), f"paper.seed={draw}"])


BASE: Final = Settings()
JOIN: Final = Settings(quote_mode="join")


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The markets and the settings. Each axis is varied alone, around the base settings or around ``join``."""

    seeds: tuple[int, ...] = tuple(range(1, 7))
    """Generated markets."""
    seconds: int = 3_600
    draws: int = 4
    """Draws of latencies over each recorded tape, of which the mean is taken."""
    latencies_ms: tuple[int, ...] = (5, 50, 150, 300)
    stalls_ms: tuple[int, ...] = (100, 250, 500, 1_000, 2_000)
    ttls_ms: tuple[int, ...] = (400, 800, 1_600)
    offsets_ticks: tuple[int, ...] = (1, 150, 300, 500, 700, 1_000, 1_400)
    reverses_ticks: tuple[int, ...] = (2, 300, 1_000, 3_000)
    spreads_ticks: tuple[int, ...] = (1, 1_000, 1_500, 2_000, 2_500)

    def axes(self) -> dict[str, list[Settings]]:
        """The settings of each section of the page."""

        def along(field: str, values: tuple[int, ...], **fixed: Any) -> list[Settings]:
            return [Settings(**{**fixed, field: value}) for value in values]

        def both(field: str, values: tuple[int, ...]) -> list[Settings]:
            return [*along(field, values), *along(field, values, quote_mode="join")]

        return {
            "offset": along("offset_ticks", self.offsets_ticks),
            "mode": self.modes(),
            "spread": both("spread_ticks", self.spreads_ticks),
            "stall": both("stall_ms", self.stalls_ms),
            "ttl": both("ttl_ms", self.ttls_ms),
            "reverse": both("reverse_ticks", self.reverses_ticks),
            "latency": both("latency_ms", (0, *self.latencies_ms)),
        }

    def modes(self) -> list[Settings]:
        """Quotes at the mid, far from it, a tick inside the best, and at the best."""
        return [BASE, Settings(offset_ticks=700), Settings(quote_mode="inside"), JOIN]

    def grid(self) -> list[Settings]:
        """Combinations of what matters most, at the default latency."""
        places = (
            ("mid", 1),
            ("mid", 300),
            ("mid", 700),
            ("mid", 1_000),
            ("inside", 1),
            ("join", 1),
        )
        return [
            Settings(quote_mode=mode, offset_ticks=offset, stall_ms=stall, ttl_ms=ttl, spread_ticks=spread)
            for (mode, offset), stall, ttl, spread in product(places, (250, 1_000), (400, 800), (1, 1_500))
        ]

    def all_settings(self) -> list[Settings]:
        """Every run, once."""
        axes = [one for settings in self.axes().values() for one in settings]
        return list(dict.fromkeys([*axes, *self.grid()]))

    def digest(self) -> str:
        """A name for the study's choices and for the settings that its runs share."""
        shared = BASE.config().model_dump(mode="json")
        held = {"study": asdict(self), **{section: shared[section] for section in _MATTERING}}
        return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:16]
