"""Which secrets are good, at which moment."""

import hashlib

import msgspec

from tokenweir.ledger.checks import wrong_with
from tokenweir.ledger.known_terms import KnownTerms
from tokenweir.ledger.new_key import make_key, rotated
from tokenweir.ledger.terms import KeyRecord, Limit, RemoveLimit, RevokeKey, SetKey, SetLimit, Terms

NOW_US = 1_000_000_000


def random_bytes(count: int, *, made: list[int] = [0]) -> bytes:  # noqa: B006 - every call differs, in a fixed order
    made[0] += 1
    return made[0].to_bytes(count, "big")


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def fresh() -> tuple[KnownTerms, KeyRecord, str]:
    record, secret = make_key("k", "a", now_us=NOW_US, random_bytes=random_bytes)
    known = KnownTerms()
    known.replace(Terms(keys={record.id: record}))
    return known, record, secret


def is_good(known: KnownTerms, secret: str, at_us: int) -> bool:
    return known.key_by_hash(digest(secret), at_us) is not None


def test_both_secrets_are_good_until_the_overlap_ends() -> None:
    known, record, before = fresh()
    until_us = NOW_US + 60_000_000
    turned, after = rotated(record, old_until_us=until_us, random_bytes=random_bytes)
    known.apply([SetKey(turned)])
    assert after != before
    assert [is_good(known, before, at_us) for at_us in (NOW_US, until_us - 1, until_us)] == [
        True,
        True,
        False,
    ]
    assert all(is_good(known, after, at_us) for at_us in (NOW_US, until_us, until_us * 2))


def test_a_second_rotation_ends_the_first_secret() -> None:
    known, record, first = fresh()
    once, second = rotated(record, old_until_us=2 * NOW_US, random_bytes=random_bytes)
    twice, third = rotated(once, old_until_us=2 * NOW_US, random_bytes=random_bytes)
    known.apply([SetKey(once), SetKey(twice)])
    assert [is_good(known, secret, NOW_US) for secret in (first, second, third)] == [False, True, True]


def test_a_revoked_key_has_no_good_secret_and_stays_revoked() -> None:
    known, record, before = fresh()
    turned, after = rotated(record, old_until_us=2 * NOW_US, random_bytes=random_bytes)
    known.apply([SetKey(turned), RevokeKey(record.id, NOW_US)])
    assert not is_good(known, before, NOW_US)
    assert not is_good(known, after, NOW_US)
    terms = Terms(keys={record.id: msgspec.structs.replace(turned, revoked_us=NOW_US)})
    assert "for good" in wrong_with(terms, SetKey(turned))


def test_a_key_is_good_until_it_expires() -> None:
    known, record, secret = fresh()
    known.apply([SetKey(msgspec.structs.replace(record, expires_us=NOW_US + 5))])
    assert [is_good(known, secret, NOW_US + more) for more in (4, 5)] == [True, False]


def test_what_a_worker_is_told_twice_is_once() -> None:
    """Its first picture of the terms may hold changes that are not durable yet; these are told once they are."""
    terms, changes = (
        Terms(),
        (SetLimit("key/k", Limit("calls", 1, "day")), RemoveLimit("key/k", "", "calls", "day")),
    )
    for change in changes:
        terms.apply(change)
    known = KnownTerms()
    known.replace(terms)
    known.apply(changes)
    known.apply(changes[1:])
    assert terms.limits == {"key/k": {}}
