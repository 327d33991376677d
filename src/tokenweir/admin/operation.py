"""One row of the admin API's table: what its function's signature and first line say is not said twice."""

import inspect
import re
import types
import typing
from collections.abc import Callable

import msgspec

from tokenweir.admin.problems import Problem

#: The methods that change something.
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PARAMETER = re.compile(r"\{(\w+)\}")


#: The gateway takes no longer one either, but for bills.
MAX_BODY_BYTES = 1024 * 1024
MAX_BILL_BYTES = 16 * MAX_BODY_BYTES


class Operation(msgspec.Struct, frozen=True):
    """A method of a path, and the function that answers it.

    The function takes who asks (`Asked`), the path's parameters as texts, and `query` and `body` where it has them. It
    returns what is answered, or a Problem. A body of bytes is given as it is.
    """

    method: str
    path: str  # below /api/v1
    handle: Callable[..., object]
    status: int
    query: type | None
    body: type | None
    answer: type | None  # None: no body
    long: bool  # it may take minutes, and become a job: one that changes something is done at a time

    @property
    def max_body_bytes(self) -> int:
        """The longest body that it takes: a bill is a file of its own, all others are JSON."""
        return MAX_BILL_BYTES if self.body is bytes else MAX_BODY_BYTES

    @property
    def resource(self) -> str:
        """What its rights are looked up by."""
        return self.path.split("/")[1]

    @property
    def changes(self) -> bool:
        """Whether it changes something."""
        return self.method in CHANGING

    @property
    def parameters(self) -> list[str]:
        """Of its path."""
        return _PARAMETER.findall(self.path)

    @property
    def words(self) -> list[str]:
        """What it does: the first line of its function's docstring, and what follows."""
        first, _, rest = (inspect.getdoc(self.handle) or "").partition("\n")
        return [first, rest.strip()]

    @property
    def id(self) -> str:
        """A name of its own."""
        return self.handle.__name__


def operation(
    method: str, path: str, handle: Callable[..., object], status: int = 200, *, long: bool = False
) -> Operation:
    """A row, completed by the function's annotations."""
    hints = typing.get_type_hints(handle, include_extras=True)
    told = hints.get("return")
    answers = (
        [told] if typing.get_origin(told) not in (typing.Union, types.UnionType) else typing.get_args(told)
    )
    shown = [kind for kind in answers if kind not in (Problem, type(None))]
    return Operation(
        method,
        path,
        handle,
        status if shown else 204,
        hints.get("query"),
        hints.get("body"),
        shown[0] if shown else None,
        long,
    )
