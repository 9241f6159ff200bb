"""Several instruments of one account: the keys in which each differs from the rest of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Self

from pydantic import Field, model_validator

from stall_then_strike.config.fields import Number, Parameters, Section, raise_all
from stall_then_strike.config.trading import StallStrategyConfig
from stall_then_strike.config.venue import unit_problems
from stall_then_strike.types.instrument import Instrument, Lots

_SECTIONS: Final = ("strategy", "parameters")
_UNITS: Final = ("product_code", "tick_size", "size_step", "size_min")


class InstrumentConfig(Section):
    """One instrument. A key that is not given is taken from ``exchange``, ``strategy`` and ``parameters``."""

    product_code: str = Field(pattern=r"^[A-Z0-9_]+$", description="product, as the venue spells it")
    tick_size: Number = Field(default=Decimal(1), gt=0, description="smallest price step, quote currency")
    size_step: Number = Field(default=Decimal("0.00000001"), gt=0, description="smallest size step, base currency")
    size_min: Number = Field(default=Decimal("0.001"), gt=0, description="smallest order that the venue accepts")
    strategy: StallStrategyConfig = Field(default_factory=StallStrategyConfig)
    parameters: Parameters = Field(default_factory=dict, description="settings of another strategy than stall's")

    def instrument(self) -> Instrument:
        """The product's units."""
        return Instrument(
            product_code=self.product_code,
            tick_size=self.tick_size,
            lot_size=self.size_step,
            min_size=Lots(int(self.size_min / self.size_step)),
        )

    @model_validator(mode="after")
    def _units_fit(self) -> Self:
        raise_all(unit_problems(self.tick_size, self.size_step, self.size_min))
        return self


def filled_in(tree: Any) -> Any:
    """A raw configuration whose instruments have every key; its own ``exchange`` and ``strategy`` are the first's.

    What is not understood is left to the models.
    """
    if not isinstance(tree, Mapping) or not isinstance(items := tree.get("instruments"), list | tuple):
        return tree
    exchange = _mapping(tree.get("exchange"))
    units = {name: exchange[name] for name in _UNITS[1:] if name in exchange}
    filled = [_filled(item, units, tree) for item in items]
    tree = {**tree, "instruments": filled}
    if filled and isinstance(first := filled[0], Mapping):
        tree["exchange"] = {**exchange, **{name: first[name] for name in _UNITS if name in first}}
        tree |= {name: first[name] for name in _SECTIONS}
    return tree


def _filled(item: Any, units: Mapping[str, Any], tree: Mapping[str, Any]) -> Any:
    if not isinstance(item, Mapping):
        return item
    sections = {}
    for name in _SECTIONS:
        own = item.get(name, {})
        sections[name] = {**_mapping(tree.get(name)), **own} if isinstance(own, Mapping) else own
    return {**units, **item, **sections}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
