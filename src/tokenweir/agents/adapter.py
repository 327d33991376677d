"""An adapter: how one agent is pointed at the gateway and given a task without a screen. Data, read from TOML. Pure."""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import msgspec

from tokenweir.core.errors import AgentError

#: What may stand in braces in an adapter's values.
PLACEHOLDERS = ("base_url", "key", "model", "task", "home")
#: Dialects in which an agent can speak to the gateway.
DIALECTS = ("chat", "messages", "responses")
#: How an agent is asked to end; it gets the other kind of end after a grace.
STOPS = ("SIGINT", "SIGTERM", "SIGHUP")
MAX_BYTES = 64 * 1024

_PLACE = re.compile(r"\{([a-z_]+)\}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)*(?:[-+.][0-9A-Za-z.]+)?")
#: Texts of these kinds hold values in quotes, which a value must not end.
_QUOTED = (".json", ".toml")


class HomeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the agent's temporary home; `path` is relative to it."""

    path: str
    text: str


class OwnCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the agent's output says what it thinks the run cost: a member of its last JSON line that has it."""

    member: str  # with dots for members of members
    currency: str = "USD"


class Adapter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an agent is started. Its values may hold `{base_url}` (without a path), `{key}`, `{model}`, `{task}`, `{home}`."""

    name: str  # what it is called on the command line
    title: str  # what its makers call it
    dialect: str
    program: str = ""  # looked for in PATH; empty: the user names the command
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    files: tuple[HomeFile, ...] = ()
    stop: str = "SIGINT"  # the signal that asks it to end
    version: tuple[str, ...] = ("--version",)
    tested: str = ""  # the version that it was last run with
    install: str = ""
    own_cost: OwnCost | None = None


class Place(msgspec.Struct, frozen=True):
    """What fills the placeholders."""

    base_url: str  # http://127.0.0.1:8787
    key: str
    model: str
    task: str
    home: str


class Launch(msgspec.Struct, frozen=True):
    """What is started: the command, its environment (of the adapter alone), and files of the temporary home."""

    command: tuple[str, ...]
    environment: dict[str, str]
    files: tuple[HomeFile, ...]


def read_adapter(data: bytes, file: str) -> Adapter:
    """An adapter from the bytes of a TOML file. Raises AgentError that names file and member."""
    if len(data) > MAX_BYTES:
        raise AgentError(f"{file} is longer than {MAX_BYTES:,} bytes; that is no adapter")
    try:
        adapter = msgspec.convert(tomllib.loads(data.decode()), Adapter)
    except UnicodeDecodeError:
        raise AgentError(f"{file} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise AgentError(f"{file} is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise AgentError(f"{file}: {_told(str(error))}") from None
    for member, wrong in _wrong(adapter):
        raise AgentError(f"{file}: {member}: {wrong}")
    return adapter


def _told(message: str) -> str:
    """msgspec's sentence with the member in front: "stop: Expected `str`, got `int`"."""
    what, _, where = message.partition(" - at `$")
    member = where.rstrip("`").lstrip(".")
    return f"{member}: {what}" if member else what


def _wrong(adapter: Adapter) -> Iterator[tuple[str, str]]:
    """What is wrong with it: the member and a sentence."""
    if not _NAME.fullmatch(adapter.name):
        yield "name", f"{adapter.name!r} is no name: up to 40 small letters, digits and -"
    if adapter.dialect not in DIALECTS:
        yield "dialect", f"{adapter.dialect!r} is none of {', '.join(DIALECTS)}"
    if adapter.stop not in STOPS:
        yield "stop", f"{adapter.stop!r} is none of {', '.join(STOPS)}"
    if "/" in adapter.program:
        yield "program", f"{adapter.program!r} is a path; name what is found in PATH"
    for index, file in enumerate(adapter.files):
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts or not path.name:
            yield f"files[{index}].path", f"{file.path!r} does not lie in the temporary home"
    for member, text in _texts(adapter):
        unknown = set(_PLACE.findall(text)) - set(PLACEHOLDERS)
        if unknown:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            yield member, f"{{{unknown.pop()}}} is none of {known}"


def _texts(adapter: Adapter) -> Iterator[tuple[str, str]]:
    """Every value that may hold placeholders, with its member."""
    yield from ((f"arguments[{index}]", text) for index, text in enumerate(adapter.arguments))
    yield from ((f"environment.{name}", text) for name, text in adapter.environment.items())
    yield from ((f"files[{index}].text", file.text) for index, file in enumerate(adapter.files))


def launch(adapter: Adapter, place: Place, command: Sequence[str] = ()) -> Launch:
    """What to start. `command`: the user's own words, for an adapter without a program. Raises AgentError."""
    words = (adapter.program, *adapter.arguments) if adapter.program else tuple(command)
    if not words:
        raise AgentError(f"{adapter.name} has no program of its own: say what to start with --command")
    return Launch(
        command=tuple(_filled(word, place) for word in words),
        environment={name: _filled(text, place) for name, text in adapter.environment.items()},
        files=tuple(_filled_file(file, place) for file in adapter.files),
    )


def _filled(text: str, place: Place) -> str:
    values = msgspec.structs.asdict(place)
    return _PLACE.sub(lambda match: str(values.get(match[1], match[0])), text)


def _filled_file(file: HomeFile, place: Place) -> HomeFile:
    if file.path.endswith(_QUOTED):
        quoted = {name: json.dumps(value)[1:-1] for name, value in msgspec.structs.asdict(place).items()}
        place = Place(**quoted)
    return HomeFile(file.path, _filled(file.text, place))


def version_in(output: str) -> str:
    """The first version number in what a program printed; "" for none."""
    found = _VERSION.search(output)
    return found[0] if found else ""


def own_cost(adapter: Adapter, output: str) -> str:
    """What the agent's output says that the run cost, as a decimal with its currency; "" where it says nothing."""
    told = adapter.own_cost
    if told is None:
        return ""
    for line in reversed(output.splitlines()):
        if told.member.rpartition(".")[2] in line:
            value = _member(line, told.member.split("."))
            if value:
                return f"{value} {told.currency}"
    return ""


def _member(line: str, path: Sequence[str]) -> str:
    """A number of a JSON line, as it stands there: no float is made of it."""
    try:
        value = json.loads(line, parse_float=str, parse_int=str)
    except ValueError:
        return ""
    if isinstance(value, list):  # some print all events as one list; the last is the result
        value = value[-1] if value else None
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) and re.fullmatch(r"\d{1,12}(?:\.\d{1,30})?", value) else ""
