"""What has become of work that took longer than its answer was waited for."""

from typing import Any, Literal

import msgspec

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import Moment, Page, PageQuery, moment, moment_or_none, page_of
from tokenweir.admin.problems import Problem, not_found
from tokenweir.admin.rights import may_write
from tokenweir.admin.works import Work
from tokenweir.core.sentence import say
from tokenweir.protocol.problems import Details, details


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Work that takes long. It is remembered for an hour after its end, and until the gateway is started again."""

    id: str
    operation: str  # its `operationId`
    key: str  # of who asked for it
    state: Literal["running", "done", "refused"]
    started: Moment
    ended: Moment | None
    status: int | None  # that its answer would have had
    result: Any  # what its answer would have been; null until then, and where it was refused
    error: Details | None  # why it was refused


def list_jobs(asked: Asked, query: PageQuery) -> Page[Job]:
    """Jobs that you asked for; for owners and admins, everybody's."""
    page = page_of(map(told_job, _yours(asked)), lambda job: job.id, query)
    return Page(page.items, page.next)


def get_job(asked: Asked, id: str) -> Job | Problem:
    """One job, and what came of it."""
    work = find_work(asked, id)
    return told_job(work) if work is not None else not_found(say("job {id!r}", id=id[:100]))


def find_work(asked: Asked, id: str) -> Work | None:
    """The work of a job that is yours to see."""
    return next((work for work in _yours(asked) if work.id == id), None)


def _yours(asked: Asked) -> list[Work]:
    known = asked.desk.works.known()
    return [work for work in known if work.key == asked.actor.id or may_write(asked.actor)]


def told_job(work: Work) -> Job:
    """A job as it is shown."""
    ended_us, outcome = work.ended_us, work.outcome
    refused = outcome if isinstance(outcome, Problem) else None
    done = ended_us is not None and refused is None
    return Job(
        id=work.id,
        operation=work.operation,
        key=work.key,
        state="done" if done else "refused" if refused else "running",
        started=moment(work.started_us),
        ended=moment_or_none(ended_us),
        status=None if ended_us is None else work.status if refused is None else refused.status,
        result=outcome if done else None,
        error=None if refused is None else details(refused.status, refused.code, str(refused.detail)),
    )
