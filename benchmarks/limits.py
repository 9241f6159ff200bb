"""Rate limits that no measurement reaches: a strike is a sample, and more are taken than the venue would allow."""

from __future__ import annotations

from typing import Final

from stall_then_strike.config.models import LimitsConfig

MANY: Final = 10**9
WIDE: Final = {name: MANY for name in LimitsConfig.model_fields if "_per_" in name}
"""Every window of the configuration, the address's included."""
