"""What words on a command line mean in the terms: which key, which account, what a limit stands on; and how terms change."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenweir.cli.running import prepare_data_dir
from tokenweir.core.clock import Clock
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.schema import has_ledger
from tokenweir.ledger.terms import DEFAULT_ACCOUNT, Change, KeyRecord, Terms
from tokenweir.ledger.views.terms import terms_now

#: What takes a setting away.
NONE = "none"


def change(directory: Path, changes: Sequence[Change], clock: Clock, by: Terms | None = None) -> None:
    """Change terms, as was decided by those given. Raises ValueError where they are refused, OutdatedError, LedgerError."""
    refused = make_changes(directory, changes, clock, after=None if by is None else by.seq)
    if refused:
        raise ValueError(refused)


def terms_to_change(directory: Path) -> Terms:
    """The terms in force; none where there is no ledger yet: the first change makes it. Raises LedgerError."""
    prepare_data_dir(directory)
    return terms_now(directory) if has_ledger(directory) else Terms()


def find_key(terms: Terms, word: str) -> KeyRecord:
    """The live key with this id or name. Raises ValueError where none or several fit."""
    live = [key for key in terms.keys.values() if key.revoked_us is None]
    found = [key for key in live if key.id == word] or [key for key in live if key.name == word]
    if len(found) != 1:
        what = "no live key" if not found else f"{len(found)} keys"
        raise ValueError(f"{what} with the id or name {word!r}; `weir keys list` shows their ids")
    return found[0]


def find_account(terms: Terms, word: str) -> str:
    """An account that was made or that a key belongs to. Raises ValueError: a slip should limit nobody."""
    known = {DEFAULT_ACCOUNT, *terms.accounts, *(key.account for key in terms.keys.values())}
    if word in known:
        return word
    raise ValueError(
        f"there is no account {word!r}{meant(word, known)}; `weir accounts create {word}` makes one"
    )


def meant(word: str, known: Iterable[str]) -> str:
    """A question in brackets, where something is called nearly so."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def find_scope(terms: Terms, account: str, key: str, run: str) -> str:
    """What a limit stands on; empty where nothing is named. Raises ValueError for several, and for what there is not."""
    named = [name for name, word in (("--account", account), ("--key", key), ("--run", run)) if word]
    if len(named) > 1:
        raise ValueError(f"a limit stands on one thing; give one of {' and '.join(named)}")
    if account:
        return f"account/{find_account(terms, account)}"
    if key:
        return f"key/{find_key(terms, key).id}"
    return f"run/{run}" if run else ""


def word_list(text: str) -> tuple[str, ...]:
    """Words with commas between them; `none` is none."""
    return () if text == NONE else tuple(part.strip() for part in text.split(",") if part.strip())
