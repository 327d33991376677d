"""A provider's bill beside what the ledger has of it. Nothing is written."""

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Annotated

from msgspec import Meta

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import Amount, Name, Query, Words, micros
from tokenweir.admin.problems import Problem, problem, refused
from tokenweir.billing.bill import Bill
from tokenweir.billing.bill_reader import read_bill
from tokenweir.billing.reconcile_answer import ReconcileAnswer, reconcile_answer
from tokenweir.billing.reconciling import compare, formats_for, has_rows, keys_of, of_key
from tokenweir.core.errors import BillError
from tokenweir.core.money import parse_amount
from tokenweir.core.sentence import FINE, Sentence, say, whole
from tokenweir.ledger.views import upstreams

#: The process is shared by all who ask; what is longer is for the command line.
MOST_UNPACKED_BYTES = 64 * 1024 * 1024

Bound = Annotated[Words, Meta(description="a day or a moment; without a zone, as the bill means its own")]


class ReconcileQuery(Query, frozen=True, kw_only=True):
    """Whose bill, of which span (that of its rows, where none is named), and the difference in money that is let pass.

    `provider`: whose format it has, where its header does not tell. `key`: only rows of this key.
    """

    upstream: Name
    provider: Words = ""
    since: Bound = ""
    until: Bound = ""
    tolerance: Amount = "0"
    key: Words = ""


def reconcile_bill(asked: Asked, query: ReconcileQuery, body: bytes) -> ReconcileAnswer | Problem:
    """Compare a bill, as the provider exports it, with the ledger: by model, day or request, to the token and the pico."""
    known = upstreams(asked.db)
    if query.upstream not in known:
        return refused(
            say(
                "the ledger has no call of upstream {upstream!r}; it has {known}",
                upstream=query.upstream,
                known=", ".join(known),
            )
        )
    try:
        since, until = _bound(query.since), _bound(query.until)
    except ValueError as error:
        return problem("wrong_form", whole(error))
    names = () if query.provider else asked.desk.lookups.providers(query.upstream)
    formats, preferred = formats_for(query.provider, names)
    if not formats:
        return refused(say("there is no format of bills for {provider!r}", provider=query.provider))
    try:
        bill = read_bill("the bill", body, formats, preferred, MOST_UNPACKED_BYTES)
    except BillError as error:
        return problem("malformed", whole(error))
    bill, wrong = _asked_of(bill, query)
    if wrong:
        return refused(wrong)
    compared = compare(asked.db, query.upstream, bill, (since, until), parse_amount(query.tolerance))
    return reconcile_answer(query.upstream, compared)


def _asked_of(bill: Bill, query: ReconcileQuery) -> tuple[Bill, Sentence]:
    """The bill with the rows that are asked for, and why they cannot be compared."""
    if query.key:
        if query.key not in keys_of(bill):
            return bill, say("the bill has no row of the key {key!r}", key=query.key)
        bill = of_key(bill, query.key)
    if has_rows(bill) or (query.since and query.until):
        return bill, FINE
    return bill, say("the bill has no rows; name its span with since and until to compare it nevertheless")


def _bound(text: str) -> Callable[[tzinfo], int | None]:
    """A moment by the zone of the bill. Raises ValueError with a sentence."""
    if not text:
        return lambda _: None
    try:
        said = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            say("{text!r} is no moment; write 2026-11-01 or 2026-11-01T08:00", text=text)
        ) from None
    return lambda zone: micros(said if said.tzinfo else said.replace(tzinfo=zone))
