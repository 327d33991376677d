"""Which rule a call was charged by: as the price book was in force when it was opened, with what was set right since. Pure."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import msgspec

from tokenweir.catalog.charges import ChargeRule, rule_for
from tokenweir.ledger.terms import MAX_DEPTH, Audited, RemoveCharge, SetAccount, SetCharge


class _Rule(msgspec.Struct, frozen=True):
    rule: ChargeRule
    until_us: int | None = None  # when it was taken away


class PriceBook:
    """Rules by account. One that was taken away holds for the calls before; one that was set later for an earlier date, too."""

    def __init__(self, changes: Sequence[Audited]) -> None:
        self._rules: dict[str, list[_Rule]] = {}
        self._parents: dict[str, list[tuple[int, str]]] = {}  # from after an entry on
        for audited in changes:
            match audited.change:
                case SetCharge(account=account, rule=rule):
                    known = self._rules.setdefault(account, [])
                    known[:] = [one for one in known if not _same(one.rule, rule)]
                    known.append(_Rule(rule))
                case RemoveCharge(account=account, model=model, valid_from_us=valid_from_us):
                    self._rules[account] = [
                        _Rule(one.rule, audited.at_us)
                        if one.until_us is None
                        and (one.rule.model, one.rule.valid_from_us) == (model, valid_from_us)
                        else one
                        for one in self._rules.get(account, [])
                    ]
                case SetAccount(account=record):
                    self._parents.setdefault(record.id, []).append((audited.after_seq, record.parent))
                case _:
                    pass

    def rule(self, account: str, model: str, opened_us: int, opened_seq: int) -> ChargeRule | None:
        """The rule for a call by what stood above its account when entry `opened_seq` was written; None: its cost is paid."""
        if not self._rules:
            return None
        for name in (*self._chain(account, opened_seq), ""):
            known = [
                one.rule
                for one in self._rules.get(name, ())
                if one.until_us is None or opened_us < one.until_us
            ]
            rule = rule_for(known, model, opened_us) if known else None
            if rule is not None:
                return rule
        return None

    def _chain(self, account: str, seq: int) -> Iterator[str]:
        for _ in range(MAX_DEPTH):
            yield account
            known = self._parents.get(account, [])
            found = bisect_left(known, seq, key=lambda step: step[0])  # those decided before the entry
            if not found or not known[found - 1][1]:
                return
            account = known[found - 1][1]


def _same(one: ChargeRule, other: ChargeRule) -> bool:
    return (one.model, one.valid_from_us) == (other.model, other.valid_from_us)
