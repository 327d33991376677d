"""How somebody wants pages to be: language, time zone, colours. Cookies of a year, readable by nobody else; no account needed."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tokenweir.console.words import LANGUAGES, preferred
from tokenweir.ledger.windows import is_zone

if TYPE_CHECKING:
    from tokenweir.console.door import Door

#: The longest form.
MOST_BYTES = 64 * 1024
MOST_FIELDS = 100
YEAR_S = 365 * 24 * 3600
THEMES = ("", "light", "dark")


class Preferences(msgspec.Struct, frozen=True):
    """As far as they are known: the browser says its language; its zone is told by a script, else it is UTC."""

    language: str
    zone: ZoneInfo
    theme: str  # "light", "dark", or "" for what the system says
    here: str  # the page that they are for, to come back to


def preferences_of(request: Request) -> Preferences:
    """Those of a request. Nothing of it is believed that is not known."""
    cookies = request.cookies
    language = cookies.get("weir_language", "")
    if language not in LANGUAGES:
        language = preferred(request.headers.get("accept-language", ""))
    theme = cookies.get("weir_theme", "")
    query = request.scope.get("query_string", b"").decode("latin-1")
    here = request.scope["path"] + (f"?{query}" if query else "")
    return Preferences(
        language, zone_of(cookies.get("weir_zone", "")), theme if theme in THEMES else "", here
    )


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def zone_of(name: str) -> ZoneInfo:
    """The zone of that name; UTC where there is none."""
    name = name.replace("%2F", "/")
    return _zone(name) if len(name) <= 64 and is_zone(name) else _zone("UTC")


async def body_of(request: Request, most: int) -> bytes | None:
    """The whole body; None where it is longer."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > most:
            return None
    return b"".join(parts)


async def fields_of(request: Request) -> dict[str, str] | None:
    """What a form says; None where it is too long or no form."""
    body = await body_of(request, MOST_BYTES)
    return None if body is None else pairs_of(body)


def pairs_of(body: bytes) -> dict[str, str] | None:
    """A form's fields; None where it is none. White space around values is dropped."""
    try:
        text = body.decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return None
    return {name: value.strip() for name, value in pairs}


def set_preferences(door: "Door") -> Callable[[Request], object]:
    """Keep what a form asks for, and go back to the page it stood on."""
    from tokenweir.console.door import safe_path

    async def answer(request: Request) -> Response:
        fields = await fields_of(request) or {}
        response = RedirectResponse(safe_path(fields.get("here", "")), 303, {"cache-control": "no-store"})
        asked = {
            "weir_language": fields.get("language", "") if fields.get("language", "") in LANGUAGES else None,
            "weir_theme": fields.get("theme", "") if fields.get("theme", "") in THEMES else None,
            "weir_zone": fields.get("zone", "") if is_zone(fields.get("zone", "")) else None,
        }
        for name, value in asked.items():
            if value is not None and name.removeprefix("weir_") in fields:
                response.set_cookie(
                    name,
                    value,
                    max_age=YEAR_S,
                    path="/console",
                    samesite="lax",
                    secure=door.is_secure(request),
                )
        return response

    return answer
