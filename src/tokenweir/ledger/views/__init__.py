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
from tokenweir.ledger.views.run_tree import RunTree, StepNode, ToolNode, run_tree
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
    "RunTree",
    "Spend",
    "SpendRow",
    "StepNode",
    "ToolNode",
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
    "run_tree",
    "spend",
    "total",
    "upstreams",
    "usage",
    "whole_hours",
]
