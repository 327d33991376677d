"""What a client is told of an upstream that did not serve its call."""

from tokenweir.gateway.attempt import REDIRECTS, Attempt
from tokenweir.gateway.upstream_connection import Fault
from tokenweir.protocol import problems
from tokenweir.protocol.problems import Problem

#: Statuses by which an upstream speaks of our account with it: not the client's business, and they may quote a key.
CREDENTIAL_STATUSES = frozenset({401, 402, 403})
#: What the client is told where it is not 502.
_OF_FAULT = {
    Fault.BUSY: problems.upstream_busy,
    Fault.CONNECT_TIMEOUT: problems.upstream_timeout,
    Fault.TIMEOUT: problems.upstream_timeout,
    Fault.STALLED: problems.upstream_timeout,
}


def problem_of_fault(fault: Fault, reason: str) -> Problem:
    """Of an upstream that gave no answer."""
    return _OF_FAULT.get(fault, problems.upstream_failed)(f"The upstream {reason}.")


def problem_of_status(attempt: Attempt) -> Problem | None:
    """Of an upstream whose answer is meant for the operator; None where the client may see the answer itself."""
    upstream, status = attempt.deployment.upstream, attempt.status
    if status in CREDENTIAL_STATUSES:
        return problems.upstream_failed(
            f"The upstream {upstream} refused the gateway's credentials or balance ({status}). "
            "The operator has to look at its api_key and account."
        )
    if status in REDIRECTS:
        return problems.upstream_failed(
            f"The upstream {upstream} redirects ({status}), which is not followed: the key would go to another "
            "address. The operator has to set its url to where it leads."
        )
    return None
