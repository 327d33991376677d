"""Bills: what accounts are charged, month by month, and what providers charge us beside what the ledger says they should."""
