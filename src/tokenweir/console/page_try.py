"""Try it: a conversation with any model, through the gateway's own door, with its tokens and money as they come.

The page's script calls `/v1/chat/completions` as any client would. It does so with a key of whoever is signed in that is made for the purpose: good
for an hour and for so much, of the same account, and in the audit like every other. Its secret stays in the memory of this process and of the page.
"""

from collections.abc import Mapping

from tokenweir.admin.keys import NewKey
from tokenweir.admin.problems import Problem
from tokenweir.catalog.pricing import apply, price_at
from tokenweir.console.outside import Model
from tokenweir.console.page import Data, Outcome, Visit, shown
from tokenweir.ledger.known_terms import allows_model

GOOD_US = 3_600_000_000
#: A key that is about to expire is not begun with.
SPARE_US = 300_000_000
LIMIT = "200k tokens"


def show(visit: Visit) -> Outcome:
    """The conversation's page."""
    actor = visit.asked.actor
    models = [model for model in visit.outside.served().models if allows_model(actor, model.name)]
    return shown(
        "try.html",
        models=models,
        chosen=visit.query["model"] or next((m.name for m in models if m.name == "abacus"), ""),
        prices={model.name: price for model in models if (price := _price(visit, model))},
        can=visit.may("keys", "POST"),
        limit=LIMIT,
    )


def _price(visit: Visit, model: Model) -> dict[str, object] | None:
    """Of the first deployment at this moment, in pico per token as texts: the script reckons with big integers."""
    price = price_at(model.deployments[0].prices, visit.asked.now_us) if model.deployments else None
    if price is None:
        return None
    rates = apply(price, 0, visit.asked.now_us).rates
    return {"currency": price.currency, "input": str(rates.input), "output": str(rates.output)}


def key(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """The secret of a key to try with: the one that was made before, while it is good."""
    session, now_us = visit.session, visit.asked.now_us
    if not session.trial or session.trial_until_us - SPARE_US < now_us:
        until_us = now_us + GOOD_US
        body: dict[str, object] = {
            "name": "console, try it",
            "expires": visit.format.iso(until_us),
            "limits": [LIMIT],
            "models": visit.asked.actor.models,
            "dialects": visit.asked.actor.dialects,
        }
        if visit.asked.actor.role != "member":  # whose keys belong to the runs that its own does
            body["run"] = f"console-{now_us // 1_000_000}"
        made = visit.do("create_key", body=body)
        if isinstance(made, Problem):
            return Data({"problem": made.detail})
        assert isinstance(made, NewKey)
        session.trial, session.trial_until_us = made.secret, until_us
    return Data({"secret": session.trial})
