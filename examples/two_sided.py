"""A small strategy: one bid and one ask rest at a distance from the mid, and move when the mid has moved.

run_paper --sim --config examples/two_sided.yml
"""

from decimal import Decimal

from pydantic import Field

from stall_then_strike.config.fields import Number, Section
from stall_then_strike.engine.context import Cloid, Context, LimitOrderRequest, MarketInfo, OrderFill, Strategy
from stall_then_strike.types.dto import Side


class TwoSidedParameters(Section):
    """What `parameters:` may hold. A wrong value ends the start, with the file and the line."""

    size: Number = Field(default=Decimal("0.001"), gt=0, description="size of an order")
    distance: Number = Field(gt=0, description="distance from the mid, in the quote currency")
    follow: Number = Field(gt=0, description="move of the mid after which both orders are placed anew")


class TwoSided(Strategy):
    Parameters = TwoSidedParameters

    def __init__(self, parameters: TwoSidedParameters) -> None:
        self.settings = parameters
        self.middle = Decimal(0)
        self.own: dict[Side, Cloid | None] = {Side.BUY: None, Side.SELL: None}
        self.fees = Decimal(0)

    def check(self, market: MarketInfo) -> None:
        if market.round_size(self.settings.size) != self.settings.size or self.settings.size < market.min_size:
            raise ValueError(f"size: {self.settings.size} does not fit; accepted: {market.min_size} or more, in steps")

    def on_start(self, context: Context) -> None:
        self.middle = context.mid

    def on_tick(self, context: Context) -> None:
        if abs(context.mid - self.middle) >= self.settings.follow:
            self.middle = context.mid
            context.cancel_all()
        for side, cloid in self.own.items():
            if cloid not in context.orders:  # it was filled, cancelled, refused, or has expired
                self.own[side] = self._placed(context, side)

    def on_order_filled(self, context: Context, fill: OrderFill) -> None:
        self.fees += fill.fee

    def _placed(self, context: Context, side: Side) -> Cloid | None:
        price = context.market.round_price(self.middle - side.sign * self.settings.distance)
        return context.place_order(LimitOrderRequest(side=side, price=price, size=self.settings.size))
