"""The order in which a settlement and what it refers to are numbered."""

from itertools import count
from types import SimpleNamespace

from tokenweir.catalog.price import Bracket, Price, Rates
from tokenweir.core.usage import Usage
from tokenweir.gateway.settlement import close_of
from tokenweir.ledger.entries import Outcome


class Link:
    """Numbers operations, and notes those of prices."""

    terms = SimpleNamespace(standing_price=lambda *_: None, charge_rule=lambda *_: None)

    def __init__(self) -> None:
        self._numbers = count(1)
        self.prices: list[int] = []

    def next_seq(self) -> int:
        return next(self._numbers)

    def define_price(self, applied: bytes) -> str:
        self.prices.append(self.next_seq())
        return "price"


def test_a_price_goes_before_the_settlement_that_refers_to_it() -> None:
    """The writer confirms everything up to a number: one that is lower and comes later would wait for the next."""
    link = Link()
    price = Price(ref="r", currency="CNY", brackets=(Bracket(0, Rates(1, 2)),))
    call = SimpleNamespace(
        worker=SimpleNamespace(link=link), clock=SimpleNamespace(now_us=lambda: 9), id=b"c", arrived_us=1,
        key=SimpleNamespace(account="a"), model="m", routes=(),
    )  # fmt: skip
    deployment = SimpleNamespace(upstream="u", name="u/m", prices=(price,))
    attempt = SimpleNamespace(
        id=b"a", ordinal=1, deployment=deployment, begun_us=2, served_model="", ttft_us=None, status=200
    )
    closing = close_of(call, attempt, Usage(input=1), Outcome.OK, "", final=True)  # type: ignore[arg-type]
    assert closing.cost_pico == 1 and link.prices == [1] and closing.seq == 2
