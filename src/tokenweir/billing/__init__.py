"""Bills: what providers charge us, beside what the ledger says they should."""
