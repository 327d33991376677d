"""The table of the admin API: its page in the docs, its OpenAPI document, and that rows and functions fit each other."""

import inspect
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from tokenweir.admin.openapi import document
from tokenweir.admin.operation import Operation
from tokenweir.admin.operations import OPERATIONS, PREFIX
from tokenweir.admin.page import page_markdown
from tokenweir.admin.rights import RIGHTS, TRY, right_of
from tokenweir.ledger.checks import ROLES


def test_the_page_of_the_admin_api_is_the_one_in_the_docs() -> None:
    page = Path(__file__).parents[2] / "docs" / "admin-api.md"
    assert page.read_text() == page_markdown(), "write it anew: python -m tokenweir.admin.page"


def test_the_document_is_openapi() -> None:
    told = document(OPERATIONS, PREFIX, "1")
    validate(told)
    assert told["openapi"].startswith("3.1")
    documented = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert documented == {(row.method, PREFIX + row.path) for row in OPERATIONS}


def test_the_document_says_what_the_source_says() -> None:
    told = document(OPERATIONS, PREFIX, "1")
    key = told["components"]["schemas"]["Key"]
    assert key["properties"]["models"]["description"].startswith("it may ask for these")
    assert key["properties"]["created"]["format"] == "date-time"
    assert "roles" in told["paths"]["/api/v1/audit"]["get"]["description"].lower()


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.id)
def test_a_row_fits_its_function(row: Operation) -> None:
    names = list(inspect.signature(row.handle).parameters)
    said = [name for name in ("query", "body") if getattr(row, name) is not None]
    assert names == ["asked", *row.parameters, *said]
    assert row.words[0].endswith(".")


def test_every_operation_has_rights_and_no_right_is_for_nothing() -> None:
    used = {(row.resource, right_of(row.resource, row.method)) for row in OPERATIONS}
    used |= {(resource, "POST") for resource, right in used if right == TRY and resource != "reconcile"}
    granted = {(resource, method) for resource, methods in RIGHTS.items() for method in methods}
    assert used == granted
    assert {role for methods in RIGHTS.values() for roles in methods.values() for role in roles} == set(ROLES)


def test_operations_have_names_of_their_own() -> None:
    assert len({row.id for row in OPERATIONS}) == len(OPERATIONS)
