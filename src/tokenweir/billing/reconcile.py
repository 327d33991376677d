"""Our figures beside a provider's: what agrees, what differs, and what only one side has. Pure.

Both sides are summed in cells: of a span of time, a model and the classes of tokens that the bill parts, as far as it does; or of
one request where both sides know its id. Cells agree when every count of tokens is the same and every currency's money is, but for
what the bill's own rounding and the caller's tolerance explain. Currencies are never added to each other.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

from tokenweir.billing.bill import BillLine, Period, Section


class Outcome(StrEnum):
    """What became of a cell."""

    MATCHED = "matched"
    DIFFERENT = "different"
    OURS_ONLY = "ours only"
    THEIRS_ONLY = "theirs only"


class OurLine(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one class and their cost, as the ledger has them.

    `token_class` is "" for money that no class accounts for.
    """

    period: Period
    model: str  # as its upstream calls it
    token_class: str
    tokens: int
    cost_pico: int | None  # None: unpriced
    currency: str
    request: str = ""


class Side(msgspec.Struct):
    """One side of a cell, or of many. Tokens by the classes that are counted together, money by currency, in pico."""

    tokens: dict[str, int] = {}
    money: dict[str, int] = {}
    unpriced_tokens: int = 0  # ours, whose cost nobody knows

    def add_tokens(self, label: str, tokens: int) -> None:
        """Add a count."""
        self.tokens[label] = self.tokens.get(label, 0) + tokens

    def add_money(self, currency: str, pico: int) -> None:
        """Add an amount."""
        self.money[currency] = self.money.get(currency, 0) + pico

    def add(self, other: "Side") -> None:
        """Add all of another."""
        for label, tokens in other.tokens.items():
            self.add_tokens(label, tokens)
        for currency, pico in other.money.items():
            self.add_money(currency, pico)
        self.unpriced_tokens += other.unpriced_tokens

    @property
    def is_nothing(self) -> bool:
        """Whether it holds no figure but zeros."""
        return not (any(self.tokens.values()) or any(self.money.values()) or self.unpriced_tokens)


class Difference(msgspec.Struct, frozen=True):
    """One figure of a cell on both sides. `measure` is a currency, or classes of tokens ("" for every one)."""

    measure: str
    is_money: bool
    ours: int
    theirs: int

    @property
    def theirs_more(self) -> int:
        """Theirs less ours."""
        return self.theirs - self.ours


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared at once, with the rows of the bill that it is made of."""

    outcome: Outcome
    period: Period
    model: str
    item: str
    request: str
    ours: Side
    theirs: Side
    rows: tuple[tuple[str, int], ...]  # file and line
    slack_pico: dict[str, int]  # by currency: what the bill's rounding explains

    def figures(self) -> list[Difference]:
        """Every figure that either side has: tokens, then money."""
        return [
            *(
                Difference(name, False, self.ours.tokens.get(name, 0), self.theirs.tokens.get(name, 0))
                for name in sorted({*self.ours.tokens, *self.theirs.tokens})
            ),
            *(
                Difference(name, True, self.ours.money.get(name, 0), self.theirs.money.get(name, 0))
                for name in sorted({*self.ours.money, *self.theirs.money})
            ),
        ]


class Group(msgspec.Struct):
    """Cells of one outcome, and what each side comes to in them."""

    cells: list[Cell]
    ours: Side
    theirs: Side


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A section of a bill, compared."""

    section: Section
    groups: dict[Outcome, Group]

    @property
    def agrees(self) -> bool:
        """Whether everything matched."""
        return all(
            not group.cells for outcome, group in self.groups.items() if outcome is not Outcome.MATCHED
        )


class _Draft(msgspec.Struct):
    """A cell as it is filled."""

    period: Period
    ours: Side
    theirs: Side
    rows: list[tuple[str, int]]
    slack_pico: dict[str, int]
    has_ours: bool = False
    has_theirs: bool = False


#: Period (none for a request), model, item, request.
_Key = tuple[Period | None, str, str, str]


class _Book:
    """The drafts of all cells."""

    def __init__(self) -> None:
        self.drafts: dict[_Key, _Draft] = {}

    def at(self, key: _Key, period: Period) -> _Draft:
        """The cell of a key."""
        draft = self.drafts.get(key)
        if draft is None:
            draft = self.drafts[key] = _Draft(period, Side(), Side(), [], {})
        return draft


def reconcile(
    section: Section,
    theirs: Iterable[BillLine],
    ours: Iterable[OurLine],
    same: Callable[[str], str],
    tolerance_pico: int = 0,
) -> Result:
    """Compare lines of a section with ours of the same span. `same` maps names of models to what they are compared by.

    `tolerance_pico` is allowed for each cell in each currency, beyond what the bill's rounding explains.
    """
    bill, ledger = list(theirs), list(ours)
    by_request = any(line.request for line in bill) and any(line.request for line in ledger)
    book = _Book()
    for line in bill:
        _enter_theirs(book, section, line, same, by_request)
    for own in ledger:
        _enter_ours(book, section, own, same, by_request)
    groups = {outcome: Group([], Side(), Side()) for outcome in Outcome}
    for key, draft in sorted(book.drafts.items(), key=lambda entry: (entry[1].period, entry[0][1:])):
        if draft.ours.is_nothing and draft.theirs.is_nothing:
            continue  # a day without use, or an answer that cost nothing
        cell = _cell(key, draft, tolerance_pico)
        group = groups[cell.outcome]
        group.cells.append(cell)
        group.ours.add(cell.ours)
        group.theirs.add(cell.theirs)
    return Result(section=section, groups=groups)


def _key(
    period: Period, model: str, item: str, request: str, same: Callable[[str], str], by_request: bool
) -> _Key:
    if by_request and request:
        return None, same(model), item, request
    return period, same(model) if model else "", item, ""


def _enter_theirs(
    book: _Book, section: Section, line: BillLine, same: Callable[[str], str], by_request: bool
) -> None:
    key = _key(line.period, line.model, line.item, line.request, same, by_request)
    draft = book.at(key, line.period)
    draft.has_theirs = True
    draft.rows.append((line.file, line.row))
    for label, tokens in line.tokens.items():
        draft.theirs.add_tokens(label, tokens)
    if section.has_money and line.amount_pico is not None:
        draft.theirs.add_money(line.currency, line.amount_pico)
        draft.slack_pico[line.currency] = draft.slack_pico.get(line.currency, 0) + line.slack_pico


def _enter_ours(
    book: _Book, section: Section, line: OurLine, same: Callable[[str], str], by_request: bool
) -> None:
    item = _of_class(section.items, line.token_class) if section.items else ""
    model = line.model if section.by_model else ""
    draft = book.at(_key(line.period, model, item, line.request, same, by_request), line.period)
    draft.has_ours = True
    counted = next((name for name, classes in section.counts.items() if line.token_class in classes), None)
    if counted is not None:
        draft.ours.add_tokens(counted, line.tokens)
    if not section.has_money:
        return
    if line.cost_pico is None:
        draft.ours.unpriced_tokens += line.tokens
    elif line.currency:
        draft.ours.add_money(line.currency, line.cost_pico)


def _of_class(items: dict[str, tuple[str, ...]], token_class: str) -> str:
    """The item that a class belongs to; the class itself where the bill parts none of it."""
    return next(
        (label for label, classes in items.items() if token_class in classes), token_class or "unparted"
    )


def _cell(key: _Key, draft: _Draft, tolerance_pico: int) -> Cell:
    _, model, item, request = key
    cell = Cell(
        outcome=Outcome.MATCHED,
        period=draft.period,
        model=model,
        item=item,
        request=request,
        ours=draft.ours,
        theirs=draft.theirs,
        rows=tuple(draft.rows),
        slack_pico=draft.slack_pico,
    )
    return msgspec.structs.replace(cell, outcome=_outcome(cell, draft, tolerance_pico))


def _outcome(cell: Cell, draft: _Draft, tolerance_pico: int) -> Outcome:
    def allowed(figure: Difference) -> int:
        return tolerance_pico + cell.slack_pico.get(figure.measure, 0) if figure.is_money else 0

    agrees = all(abs(figure.theirs_more) <= allowed(figure) for figure in cell.figures())
    if agrees and not cell.ours.unpriced_tokens:
        return Outcome.MATCHED
    if not draft.has_theirs or (cell.theirs.is_nothing and not cell.ours.is_nothing):
        return Outcome.OURS_ONLY
    if not draft.has_ours or cell.ours.is_nothing:
        return Outcome.THEIRS_ONLY
    return Outcome.DIFFERENT
