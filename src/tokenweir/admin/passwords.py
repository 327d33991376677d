"""Passwords for the console. Only Argon2id's hash of one is kept, with the key whose role it gives."""

from importlib.util import find_spec
from typing import Annotated

from msgspec import Meta

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import Body
from tokenweir.admin.keys import Key, told_key, touchable
from tokenweir.admin.problems import Problem, problem
from tokenweir.core.sentence import say
from tokenweir.ledger.terms import SetPassword

SHORTEST = 10
LONGEST = 200
EXTRA = "pip install 'tokenweir[console]'"
#: A hash of no password that anybody has: who names nobody waits as long as who names somebody.
NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class PasswordBody(Body, frozen=True, kw_only=True):
    """A password; a long one of few words is better than a short one of odd signs."""

    password: Annotated[str, Meta(min_length=SHORTEST, max_length=LONGEST)]


def is_installed() -> bool:
    """Whether what hashes passwords is there."""
    return find_spec("argon2") is not None


def hash_of(password: str) -> str:
    """Argon2id with the parameters that RFC 9106 recommends second (64 MiB, 3 passes)."""
    from argon2 import PasswordHasher  # an extra; loaded by who needs it

    return PasswordHasher().hash(password)


def is_right(password: str, hash: str) -> bool:
    """Whether it is the password of a hash; an empty one is of nobody, and takes as long."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        PasswordHasher().verify(hash or NOBODYS, password)
    except (VerificationError, InvalidHashError):
        return False
    return bool(hash)


def put_password(asked: Asked, id: str, body: PasswordBody) -> Key | Problem:
    """Set the password of a key, by which its holder signs in to the console.

    Whoever was signed in with the one before is signed out.
    """
    key = touchable(asked, id)
    if isinstance(key, Problem):
        return key
    if not is_installed():
        return problem("refused", say("Passwords need what the console is made of: {extra}.", extra=EXTRA))
    refused = asked.change([SetPassword(id, hash_of(body.password))])
    return refused or told_key(asked.terms, key, asked.now_us)


def remove_password(asked: Asked, id: str) -> Key | Problem:
    """Take a password away. Who was signed in with it is signed out."""
    key = touchable(asked, id)
    if isinstance(key, Problem):
        return key
    return asked.change([SetPassword(id, "")]) or told_key(asked.terms, key, asked.now_us)
