"""What is answered when nothing was done: problem details (RFC 9457), each saying what to do."""

import msgspec

from tokenweir.core.sentence import Sentence, say, whole
from tokenweir.protocol.problems import details

#: Header fields that a status asks for.
HEADERS = {401: {"www-authenticate": "Bearer"}, 503: {"retry-after": "1"}}
MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """A refusal: its status, a word that programs can go by, and a sentence."""

    status: int
    code: str
    detail: Sentence
    allow: str = ""  # of 405: the methods that there are

    @property
    def headers(self) -> dict[str, str]:
        """Header fields of its answer."""
        own = {"allow": self.allow} if self.allow else {}
        return {**HEADERS.get(self.status, {}), **own}

    @property
    def body(self) -> bytes:
        """Its JSON."""
        return msgspec.json.encode(details(self.status, self.code, str(self.detail)))


#: The codes there are, for the page and the OpenAPI document.
CODES = {
    "malformed": (400, "The body is no JSON, or no bill that is known."),
    "unauthorized": (401, "The key is missing, unknown, expired or revoked."),
    "no_role": (403, "The key has no role in this API."),
    "forbidden": (403, "The key's role does not reach that far."),
    "not_found": (404, "There is no such thing, or it is not yours to see."),
    "method_not_allowed": (405, "The path takes other methods; `Allow` names them."),
    "exists": (409, "There is one already."),
    "busy": (409, "Work that takes long is under way, and no more of it is taken."),
    "too_large": (413, "The body is longer than is taken."),
    "wrong_form": (422, "A member or a parameter is unknown, missing or of the wrong form."),
    "refused": (422, "The ledger does not take such a change, or cannot answer such a question."),
    "failed": (500, "A defect; the log of `weir up` has it."),
    "unavailable": (503, "The ledger, the settings or the catalog cannot be read or written at the moment."),
}


def problem(code: str, detail: Sentence) -> Problem:
    """One of CODES, with what it is about."""
    return Problem(CODES[code][0], code, detail)


def unauthorized() -> Problem:
    """401."""
    return problem(
        "unauthorized",
        say("The key is missing, unknown, expired or revoked. Send `Authorization: Bearer sk-weir-…`."),
    )


def no_role() -> Problem:
    """403 of a key that is for calls only."""
    return problem(
        "no_role", say("This key is for calls. An owner can give it a role: PATCH /api/v1/keys/ID.")
    )


def refused(why: str | Exception) -> Problem:
    """422, with what the ledger or the billing says of it."""
    return problem("refused", whole(why))


def only_tries() -> Problem:
    """403 of a key that may try what it may not do."""
    return problem("forbidden", say("This key may only try this: send `dry_run`, or ask an admin."))


def busy() -> Problem:
    """409; what is under way may be what was asked for before."""
    return problem(
        "busy",
        say("Other work that takes long is under way; nothing was done. Ask again once it is through."),
    )


def not_found(what: Sentence) -> Problem:
    """404."""
    return problem("not_found", say("There is no {what}, or it is not yours to see.", what=what))


def unreadable() -> Problem:
    """503 of settings or a catalog that are wrong at the moment; what is wrong stands in the log."""
    return problem(
        "unavailable",
        say(
            "The settings or the catalog cannot be read at the moment; see the log of `weir up`. Nothing was changed."
        ),
    )


def unavailable() -> Problem:
    """503; what is wrong stands in the log, since it names files of the machine."""
    return problem(
        "unavailable",
        say(
            "The ledger cannot be read or written at the moment; see the log of `weir up`. Nothing was changed. Try again."
        ),
    )
