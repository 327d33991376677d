"""Names of files and commands in the arguments of tools, by the members that agents' tools have in common.

Read for a record of what was done: never more than names, and never so many that the record grows with the arguments.
"""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.steps import digest, shown

#: Of longer arguments the rest is not looked into.
MOST_BYTES = 64 * 1024
MOST_FILES = 8
MOST_FILE = 160  # characters
MOST_COMMANDS = 8
MOST_COMMAND = 40
_MOST_SCRIPT = 4096
_MOST_VALUES = 500
_DEEPEST = 4

_FILES = frozenset(
    {
        "path", "paths", "file", "files", "file_path", "file_paths", "filepath", "filename", "absolute_path", "absolutepath",
        "relative_path", "relativepath", "target_file", "target_path", "notebook_path", "dir_path", "directory", "old_path",
        "new_path", "source_path", "destination_path",
    }
)  # fmt: skip
_COMMANDS = frozenset({"command", "cmd", "commands", "script", "argv"})
#: A text that a sub-agent is given.
_TASKS = ("prompt", "message", "task", "instructions", "query")
_PATCHED = re.compile(r"^(?:\*\*\* (?:Add|Update|Delete) File: |\+\+\+ b/)(.+)$", re.MULTILINE)
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "fish"})
_SEPARATORS = ";&|()<>\n"
_REDIRECTIONS = frozenset("<>")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_PROGRAM = re.compile(r"[A-Za-z0-9_.+@/~-]+")
#: Words after which comes another command.
_BEFORE_COMMAND = frozenset(
    {"if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "exec", "env", "sudo", "nohup"}
)
_AFTER_COMMAND = frozenset({"fi", "done", "esac", "}", "case", "for", "function"})


class Names(NamedTuple):
    """What was found, each once, in its order."""

    files: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    hands_on: str = ""  # digest of a text that a sub-agent may begin with


def names_in(arguments: str) -> Names:
    """Names in the arguments of a tool: JSON, or a custom tool's free text. Never raises."""
    if len(arguments) > MOST_BYTES:
        return Names(files=_listed(_patched(arguments[:MOST_BYTES]), MOST_FILES, MOST_FILE))
    try:
        value = msgspec.json.decode(arguments)
    except UNREADABLE:
        value = arguments
    if isinstance(value, str):
        return Names(files=_listed(_patched(value), MOST_FILES, MOST_FILE))
    files: list[str] = []
    commands: list[str] = []
    for name, text in _members(value):
        if name in _FILES and isinstance(text, str):
            files.append(text)
        elif name in _COMMANDS:
            commands += programs_in(text)
        if isinstance(text, str) and (name not in _FILES):
            files += _patched(text)
    return Names(
        _listed(files, MOST_FILES, MOST_FILE), _listed(commands, MOST_COMMANDS, MOST_COMMAND), _task_in(value)
    )


def programs_in(command: object) -> list[str]:
    """The programs that a command starts: of a shell's script each, of a list of words the first."""
    if isinstance(command, str):
        return list(_of_script(command[:_MOST_SCRIPT]))
    words = (
        [word for word in command[:_MOST_VALUES] if isinstance(word, str)]
        if isinstance(command, list)
        else []
    )
    if not words:
        return []
    if _base(words[0]) in _SHELLS and len(words) > 2 and words[1].startswith("-") and words[1].endswith("c"):
        return list(_of_script(words[2][:_MOST_SCRIPT]))
    return [_base(words[0])] if _PROGRAM.fullmatch(words[0]) else []


def _of_script(script: str) -> Iterator[str]:
    lexer = shlex.shlex(script, posix=True, punctuation_chars=_SEPARATORS)
    lexer.whitespace, lexer.whitespace_split = " \t\r", True
    begins = True
    skips = False  # what something is redirected to
    try:
        for word in lexer:
            if set(word) <= set(_SEPARATORS):
                if "<<" in word:
                    return  # what follows is text
                redirects = not _REDIRECTIONS.isdisjoint(word)
                skips = redirects and not word.endswith("(")
                begins = begins or not skips
            elif skips:
                skips = False
            elif begins and word not in _BEFORE_COMMAND and not _ASSIGNMENT.match(word):
                begins = False
                if _PROGRAM.fullmatch(word) and word not in _AFTER_COMMAND:
                    yield _base(word)
    except ValueError:  # quotes without an end
        return


def _base(word: str) -> str:
    return word.rstrip("/").rpartition("/")[2]


def _members(value: object) -> Iterator[tuple[str, object]]:
    """Names with their values, also in lists and objects below, in their order; no more than a bound."""
    left = [("", value, 0)]
    for _ in range(_MOST_VALUES):
        if not left:
            return
        name, found, depth = left.pop()
        if name and (isinstance(found, str) or name in _COMMANDS):
            yield name, found
        elif isinstance(found, dict) and depth < _DEEPEST:
            left += [(str(key).lower(), item, depth + 1) for key, item in reversed(found.items())]
        elif isinstance(found, list) and depth < _DEEPEST:
            left += [(name, item, depth + 1) for item in reversed(found[:_MOST_VALUES])]


def _patched(text: str) -> list[str]:
    """Files that a patch names."""
    if "*** " not in text and "+++ " not in text:
        return []
    return [match[1] for _, match in zip(range(MOST_FILES), _PATCHED.finditer(text), strict=False)]


def _task_in(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    texts = (value.get(name) for name in _TASKS)
    return digest(next((text.strip() for text in texts if isinstance(text, str) and text.strip()), ""))


def _listed(names: list[str], most: int, longest: int) -> tuple[str, ...]:
    kept = (shown(name, longest) for name in names)
    return tuple(dict.fromkeys(name for name in kept if name))[:most]
