"""Faults, named by who must act. Expected outcomes (refused, unpriced) are values, not exceptions."""


class TokenweirError(Exception):
    """Base of every fault this project raises. The message says what to do next."""


class SettingsError(TokenweirError):
    """The operator's settings are wrong: a file, an environment variable or a flag."""


class CatalogError(TokenweirError):
    """Catalog data (providers, models, prices) is malformed; nothing was replaced by it."""


class LedgerError(TokenweirError):
    """The ledger cannot be read or written: a disk, a lock or a schema version."""


class LedgerBusyError(LedgerError):
    """Another process is the ledger's writer."""


class OutdatedError(LedgerError):
    """A record was changed by somebody else after it had been looked at: look again, and decide anew."""


class WireError(TokenweirError):
    """Bytes that do not follow their protocol."""


class EngineError(TokenweirError):
    """The local engine or a model file cannot be used."""


class BillError(TokenweirError):
    """A provider's bill cannot be read: the file is not what its format says."""


class AgentError(TokenweirError):
    """A run of an agent cannot begin, or its record cannot be read: an adapter, a workspace, a sandbox or a name."""
