"""The first page: what is going on, or what to do first."""

from tokenweir.console.page import Outcome, Visit, shown
from tokenweir.console.page_calls import table_of
from tokenweir.ledger.views import calls as find_calls

#: The model that the example asks: ours if it runs, since it needs no account.
PREFERRED = "abacus"
RECENT = 10


def show(visit: Visit) -> Outcome:
    """Recent calls; without any, a command that makes the first."""
    rows = find_calls(visit.db, limit=RECENT, accounts=visit.accounts)
    return shown(
        "overview.html", tables=(table_of(visit, rows, "recent"),), example=example(visit) if not rows else ""
    )


def example(visit: Visit) -> str:
    """A command that works once the key is put in; "" where nothing is served."""
    names = [model.name for model in visit.outside.served().models]
    if not names:
        return ""
    model = PREFERRED if PREFERRED in names else names[0]
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "What is 12 + 30?"}}]}}'
    return (
        f"curl {visit.outside.address()}/v1/chat/completions \\\n"
        f"  -H 'Authorization: Bearer {visit.t('overview.your_key')}' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'"
    )
