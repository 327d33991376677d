"""Secrets of the settings: named, not written out, and looked up only when they are used."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tokenweir.core.errors import SettingsError

MAX_SECRET_BYTES = 64 * 1024


class Secret(msgspec.Struct, frozen=True):
    """`env:NAME`, `file:PATH`, or the secret itself (which the settings warn about). Never shown."""

    source: str  # "env", "file" or "literal"
    value: str  # the variable's name, the file's path, or the secret

    @classmethod
    def parse(cls, text: str) -> "Secret":
        """From a setting's text. Raises ValueError when nothing stands behind the colon."""
        source, colon, rest = text.partition(":")
        if not colon or source not in {"env", "file"}:
            return cls("literal", text)
        if not rest.strip():
            raise ValueError(f'must name something behind "{source}:"')
        return cls(source, rest.strip())

    @property
    def is_literal(self) -> bool:
        """Whether the secret itself stands in the settings."""
        return self.source == "literal"

    @property
    def shown(self) -> str:
        """Where it comes from, without it."""
        return "a text of the settings" if self.is_literal else f"{self.source}:{self.value}"

    def __repr__(self) -> str:
        return f"Secret({self.shown})"

    __str__ = __repr__

    def resolve(self, environ: Mapping[str, str]) -> str:
        """The secret. Raises SettingsError when the variable or the file is not there."""
        if self.source == "env":
            return self._from_environment(environ)
        text = self._from_file() if self.source == "file" else self.value
        if not text:
            raise SettingsError(f"the secret of {self.shown} is empty")
        if any(c in text for c in "\r\n\0"):
            raise SettingsError(f"the secret of {self.shown} has a line break in it")
        return text

    def _from_environment(self, environ: Mapping[str, str]) -> str:
        text = environ.get(self.value, "").strip()
        if not text:
            raise SettingsError(
                f"the environment variable {self.value} is not set, but a setting names env:{self.value}; "
                f"set it (export {self.value}=…) or change the setting"
            )
        return text

    def _from_file(self) -> str:
        path = Path(self.value).expanduser()
        try:
            with path.open("rb") as file:
                return file.read(MAX_SECRET_BYTES).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SettingsError(f"the secret's file {path} cannot be read: {reason}") from None
