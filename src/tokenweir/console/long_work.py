"""What a form begins and may take minutes: a job as of the admin API's, with a page that its result stands on, for an hour."""

from collections.abc import Callable

from tokenweir.admin.jobs import find_work
from tokenweir.admin.operations import OPERATIONS
from tokenweir.admin.problems import Problem, not_found
from tokenweir.admin.works import Work
from tokenweir.console.page import Visit
from tokenweir.core.sentence import say

#: How long a form is waited for; what takes longer is asked after on its page.
WAIT_S = 20.0
_STATUS = {operation.id: operation.status for operation in OPERATIONS}


def begun(visit: Visit, operation: str, do: Callable[[], object]) -> Work | Problem:
    """The work, which may be done by now; or why it was refused at once."""
    work = visit.desk.works.begin(operation, _STATUS[operation], visit.asked.actor.id, do)
    if isinstance(work, Problem):
        return work
    if work.done.wait(WAIT_S) and isinstance(work.outcome, Problem):
        visit.desk.works.forget(work)
        return work.outcome
    return work


def asked_after(visit: Visit, operation: str) -> Work | Problem | None:
    """The work that the query names; None where it names none."""
    id = visit.query["job"]
    if not id:
        return None
    work = find_work(visit.asked, id)
    if work is None or work.operation != operation:
        return not_found(
            say("result any more; it is kept for an hour, and until the gateway is started again")
        )
    return work
