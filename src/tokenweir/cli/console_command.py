"""`weir console`: passwords."""

import getpass
import sys
from pathlib import Path

from tokenweir.admin.passwords import EXTRA, LONGEST, SHORTEST, hash_of, is_installed
from tokenweir.cli import show
from tokenweir.cli.terms_words import change, find_key, terms_to_change
from tokenweir.core.clock import Clock
from tokenweir.ledger.terms import SetPassword


def set_password(directory: Path, word: str, clock: Clock) -> None:
    """Ask for a key's password and set it. Raises ValueError for wrong words, LedgerError."""
    key = find_key(terms_to_change(directory), word)
    if not is_installed():
        raise ValueError(f"passwords need what the console is made of: {EXTRA}")
    change(directory, [SetPassword(key.id, hash_of(_asked()))], clock)
    show.console().print(f"Sign in to the console as {key.name}, or as {key.id}.", markup=False)


def remove_password(directory: Path, word: str, clock: Clock) -> None:
    """Take it away. Raises ValueError for wrong words, LedgerError."""
    key = find_key(terms_to_change(directory), word)
    change(directory, [SetPassword(key.id, "")], clock)
    show.console().print(f"{key.id} has no password any more.", markup=False)


def _asked() -> str:
    """Typed twice and unseen, or the first line of standard input."""
    if sys.stdin.isatty():
        said = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != said:
            raise ValueError("the two passwords differ")
    else:
        said = sys.stdin.readline().rstrip("\r\n")
    if not SHORTEST <= len(said) <= LONGEST:
        raise ValueError(f"a password has {SHORTEST} to {LONGEST} characters")
    return said
