"""The terms as a worker knows them: told by the writer, and made quick to look things up in. Pure."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from tokenweir.catalog.charges import ChargeRule
from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.ledger.terms import Change, Drained, KeyRecord, RevokeKey, SetKey, StandingCost, Terms


class KnownTerms:
    """A worker decides nothing by these that the writer would not decide again: they spare it questions."""

    def __init__(self) -> None:
        self._terms = Terms()
        self._by_hash: dict[bytes, KeyRecord] = {}
        self._charged = False  # whether anybody is charged by a price of its own

    def replace(self, terms: Terms) -> None:
        """All of them, from the writer."""
        self._terms = terms
        self._by_hash = {}
        for key in terms.keys.values():
            self._learn(key)
        self._look()

    def apply(self, changes: Iterable[Change]) -> None:
        """What has changed."""
        for change in changes:
            if isinstance(change, SetKey | RevokeKey):
                id = change.id if isinstance(change, RevokeKey) else change.key.id
                self._unlearn(self._terms.keys.get(id))
                self._terms.apply(change)
                self._learn(self._terms.keys[id])
            else:
                self._terms.apply(change)
        self._look()

    def key_by_hash(self, digest: bytes, at_us: int) -> KeyRecord | None:
        """The key whose secret has this SHA-256, while it is good, or None."""
        key = self._by_hash.get(digest)
        if key is None or not key.is_live(at_us) or (digest != key.hash and at_us >= key.old_until_us):
            return None
        return key

    def charge_rule(self, account: str, model: str, at_us: int) -> ChargeRule | None:
        """What calls of a model are charged by; None: what they cost is what is paid."""
        return self._terms.charge_rule(account, model, at_us) if self._charged else None

    def standing_price(self, upstream: str, at_us: int) -> AppliedPrice | None:
        """What a call through an upstream costs by itself where that has a standing cost: nothing, and why. None: it has none."""
        if not self._terms.standing_costs:
            return None
        costs = self._terms.standing_costs.values()
        found = (cost for cost in costs if cost.upstream == upstream and cost.is_in_force(at_us))
        return next(map(standing_price, found), None)

    @property
    def drained(self) -> dict[str, Drained]:
        """Upstreams that get no new calls."""
        return self._terms.drained

    @property
    def has_standing_costs(self) -> bool:
        """Whether any upstream may have one."""
        return bool(self._terms.standing_costs)

    def _learn(self, key: KeyRecord) -> None:
        if key.revoked_us is None:
            self._by_hash[key.hash] = key
            if key.old_hash:
                self._by_hash[key.old_hash] = key

    def _unlearn(self, key: KeyRecord | None) -> None:
        if key is not None:
            self._by_hash.pop(key.hash, None)
            self._by_hash.pop(key.old_hash, None)

    def _look(self) -> None:
        self._charged = any(self._terms.charges.values())


def standing_price(cost: StandingCost) -> AppliedPrice:
    """The price of a call whose upstream is paid for by the month or the hour, until that is spread over its calls."""
    return AppliedPrice(f"standing cost {cost.id}", cost.currency, Rates(0, 0))


def allows_model(key: KeyRecord, model: str) -> bool:
    """Whether a key may ask for a model, by its public name."""
    return not key.models or any(fnmatchcase(model, pattern) for pattern in key.models)


def allows_dialect(key: KeyRecord, dialect: str) -> bool:
    """Whether a key may speak a dialect."""
    return not key.dialects or dialect in key.dialects
