"""A run whose tree is known: a title, two turns of the main agent, a sub-agent between them, and a refusal at the end."""

import msgspec
from test_run_words import START, row

from tokenweir.agents.records import Run, RunEnd
from tokenweir.agents.verdict import Check, Ending, Verdict
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.views.run_tree import RunTree, tree_of
from tokenweir.protocol.steps import AskedTool, Step, ToolResult

SECOND = 1_000_000
RUN = Run(
    msgspec.structs.replace(START, started_us=SECOND // 2),
    RunEnd(
        ended_us=20 * SECOND, duration_us=19 * SECOND, verdict=Verdict.SOLVED, ending=Ending.FINISHED, check=Check.PASSED,
        exit_code=0, calls=4, cost={"CNY": "0.00976"}, own_cost="0.02 USD",
    ),
)  # fmt: skip


def tool(id: str, name: str = "bash", **more: object) -> AskedTool:
    return AskedTool(id=id, name=name, digest="0123456789abcdef", bytes=20, **more)  # type: ignore[arg-type]


STEPS = (
    Step(thread="t0", words="title"),
    Step(
        thread="main", turns=1, tools=2,
        asked=(tool("c1", commands=("pytest",)), tool("c2", "Task", hands_on="sub", files=("a.py",))),
    ),
    Step(thread="sub", turns=1, tools=2, asked=(tool("c1"),)),
    Step(thread="main", turns=3, tools=2, results=(ToolResult("c1", 120, True), ToolResult("c2", 30, False))),
    None,
)  # fmt: skip
ROWS = [
    row(
        n,
        call=f"00000000-0000-7000-8000-00000000000{n}",
        run="run_1",
        at_us=n * SECOND,
        duration_us=SECOND // 2,
    )
    for n in range(1, 5)
]
ROWS.append(
    msgspec.structs.replace(
        ROWS[0], call="00000000-0000-7000-8000-000000000005", at_us=5 * SECOND, outcome=Outcome.REFUSED, reason="limit",
        cost_pico={}, duration_us=None, ttft_us=None, upstream="", usage=type(ROWS[0].usage)(),
    )
)  # fmt: skip


def tree() -> RunTree:
    return tree_of("run_1", ROWS, STEPS)
