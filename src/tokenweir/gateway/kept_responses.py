"""Responses that clients go on from: joined before a call, kept after it, told and forgotten on request."""

import sys
from collections.abc import Callable

from tokenweir.gateway.response_keeper import ResponseKeeper
from tokenweir.gateway.response_store import ResponseStoreError
from tokenweir.protocol import problems
from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.stored_responses import (
    KeptResponse,
    deleted,
    join,
    keep,
    not_kept,
    previous_not_found,
)


class KeptResponses:
    """What calls and pages ask of the store. `owner` is an account: no other sees what it keeps."""

    def __init__(self, keeper: ResponseKeeper) -> None:
        self._keeper = keeper
        self.close = keeper.close

    def join(
        self,
        owner: str,
        body: bytes,
        previous_id: str,
        max_bytes: int,
        done: Callable[[bytes | Problem], None],
    ) -> None:
        """`done` gets the request with the whole conversation in it, or what is wrong."""

        def found(chain: list[KeptResponse] | ResponseStoreError | None) -> None:
            if isinstance(chain, ResponseStoreError):
                done(problems.responses_unavailable(str(chain)))
            elif chain is None:
                done(previous_not_found(previous_id, keeps=True))
            else:
                try:
                    done(join(body, chain, max_bytes=max_bytes))
                except BadRequest as error:
                    done(problems.bad_request(str(error), error.param, error.status))

        self._keeper.ask(lambda store: store.chain(owner, previous_id), found)

    def keep(self, owner: str, asked: bytes, told: bytes, done: Callable[[], None]) -> None:
        """Keep a response, then `done`. One that cannot be kept is told all the same: it was paid for."""
        kept = keep(asked, told)
        if kept is None:
            done()
            return

        def put(result: ResponseStoreError | None) -> None:
            if result is not None:
                print(f"responses: {result}", file=sys.stderr, flush=True)
            done()

        self._keeper.ask(lambda store: store.put(owner, kept), put)

    def get(self, owner: str, response_id: str, done: Callable[[bytes | Problem], None]) -> None:
        """`done` gets the response, or what is wrong."""

        def found(kept: KeptResponse | ResponseStoreError | None) -> None:
            if isinstance(kept, ResponseStoreError):
                done(problems.responses_unavailable(str(kept)))
            else:
                done(not_kept(response_id, keeps=True) if kept is None else kept.response)

        self._keeper.ask(lambda store: store.get(owner, response_id), found)

    def delete(self, owner: str, response_id: str, done: Callable[[bytes | Problem], None]) -> None:
        """`done` gets what a client is told of the deletion, or what is wrong."""

        def found(was_there: bool | ResponseStoreError) -> None:
            if isinstance(was_there, ResponseStoreError):
                done(problems.responses_unavailable(str(was_there)))
            else:
                done(deleted(response_id) if was_there else not_kept(response_id, keeps=True))

        self._keeper.ask(lambda store: store.delete(owner, response_id), found)
