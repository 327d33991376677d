"""What can be asked of the ledger: usage by group, calls, and one call with its arithmetic. Reads only."""

from tokenweir.ledger.views.calls import (
    MAX_PAGE,
    CallDetail,
    CallRow,
    PricedEntry,
    Product,
    call_detail,
    calls,
    calls_after,
    products,
)
from tokenweir.ledger.views.reader import entries, iso_time, last_seq, open_reader, read_entry
from tokenweir.ledger.views.spend import Spend, SpendRow, spend, upstreams
from tokenweir.ledger.views.usage import GROUPS, HOUR_US, UsageRow, total, usage, whole_hours

__all__ = [
    "GROUPS",
    "HOUR_US",
    "MAX_PAGE",
    "CallDetail",
    "CallRow",
    "PricedEntry",
    "Product",
    "Spend",
    "SpendRow",
    "UsageRow",
    "call_detail",
    "calls",
    "calls_after",
    "entries",
    "iso_time",
    "last_seq",
    "open_reader",
    "products",
    "read_entry",
    "spend",
    "total",
    "upstreams",
    "usage",
    "whole_hours",
]
