"""Every page of the console: routes, navigation, rights and the tests read this table."""

from tokenweir.console import page_audit, page_call, page_calls, page_overview
from tokenweir.console.page import Page

PAGES: tuple[Page, ...] = (
    Page(name="overview", path="/", show=page_overview.show, resource="usage", group="look"),
    Page(name="calls", path="/calls", show=page_calls.show, resource="calls", group="look"),
    Page(name="call", path="/calls/{id}", show=page_call.show, resource="calls", under="calls"),
    Page(name="call_cost", path="/calls/{id}/cost", show=page_call.cost, resource="calls", under="calls"),
    Page(name="audit", path="/audit", show=page_audit.show, resource="audit", group="manage"),
)
