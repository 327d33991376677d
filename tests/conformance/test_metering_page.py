"""docs/metering.md and the cases say the same."""

from metering_page import PAGE, filled
from wire_case import ALL

from tokenweir.core.usage import TOKEN_CLASSES, Provenance
from tokenweir.ledger.entries import Outcome
from tokenweir.protocol.answers import BYTES_PER_TOKEN
from tokenweir.protocol.plain_events import ONE_TOKEN_BYTES


def test_the_page_lists_every_case_as_it_is() -> None:
    page = PAGE.read_text("utf-8")
    assert filled(page) == page, "run: python tests/conformance/metering_page.py"


def test_the_page_names_every_class_and_provenance_and_the_figures_of_the_code() -> None:
    page = PAGE.read_text("utf-8").partition("<!-- cases -->")[0]
    for word in (*TOKEN_CLASSES, *Provenance):
        assert f"`{word}`" in page
    assert f"{BYTES_PER_TOKEN} bytes" in page and f"{ONE_TOKEN_BYTES} bytes" in page


def test_every_provenance_and_way_to_end_has_a_case() -> None:
    attempts = [attempt for case in ALL.values() for attempt in case.toml.attempt]
    assert {attempt.provenance for attempt in attempts} == set(Provenance)
    assert {a.outcome for a in attempts} == {o.value for o in (Outcome.OK, Outcome.UPSTREAM_ERROR, Outcome.UPSTREAM_BROKE, Outcome.CANCELLED)}  # fmt: skip
    seen = {name for case in ALL.values() for attempt in case.toml.attempt for name in attempt.usage}
    assert seen == set(TOKEN_CLASSES)
