"""Exit codes, one table: what scripts may rely on, and what `docs/commands.md` prints."""

from tokenweir.cli.fetch import FetchError
from tokenweir.cli.listen import ListenError
from tokenweir.cli.running import AlreadyRunningError
from tokenweir.core.errors import (
    AgentError,
    BillError,
    CatalogError,
    EngineError,
    LedgerError,
    SettingsError,
    TokenweirError,
)


class NotReachableError(TokenweirError):
    """No gateway runs on the data directory, or it does not answer."""


OK, FAILED, USAGE, SETTINGS, UNREACHABLE, LEDGER, RUNNING, PORT, CATALOG, ENGINE, BILL = range(11)
#: Of `weir run`: how the run ended.
OUT_OF_BUDGET, AGENT, INFRASTRUCTURE = 20, 21, 22
INTERRUPTED = 130

EXIT_CODES: tuple[tuple[int, str], ...] = (
    (OK, "done"),
    (
        FAILED,
        "a check failed: `weir doctor`, `weir ledger verify`, `weir reconcile`, `weir run --verify`, "
        "or a process that had to be killed",
    ),
    (USAGE, "the command line is wrong"),
    (SETTINGS, "the settings are wrong: file, environment or flag"),
    (
        UNREACHABLE,
        "no gateway runs on this data directory, or it (or where prices come from) does not answer",
    ),
    (LEDGER, "the ledger or its directory cannot be read or written"),
    (RUNNING, "another `weir up` serves this data directory"),
    (PORT, "the address cannot be listened on"),
    (CATALOG, "catalog data is malformed; nothing was replaced by it"),
    (ENGINE, "the local engine or a model file cannot be used"),
    (BILL, "a provider's bill cannot be read"),
    (OUT_OF_BUDGET, "`weir run`: money, tokens, calls or time ran out before the work passed its check"),
    (AGENT, "`weir run`: the agent ended with an error"),
    (
        INFRASTRUCTURE,
        "`weir run`: no fault of the agent's: no program, sandbox, adapter, price, upstream or check",
    ),
    (INTERRUPTED, "interrupted"),
)

#: The first that fits counts.
_BY_FAULT: tuple[tuple[type[TokenweirError], int], ...] = (
    (NotReachableError, UNREACHABLE),
    (FetchError, UNREACHABLE),
    (AlreadyRunningError, RUNNING),
    (ListenError, PORT),
    (SettingsError, SETTINGS),
    (LedgerError, LEDGER),
    (CatalogError, CATALOG),
    (EngineError, ENGINE),
    (BillError, BILL),
    (AgentError, INFRASTRUCTURE),
)


def exit_code(error: TokenweirError) -> int:
    """The code that a fault ends the program with."""
    return next((code for kind, code in _BY_FAULT if isinstance(error, kind)), FAILED)
