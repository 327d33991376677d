"""The paths that a run's programs may read."""

from collections.abc import Sequence

from tokenweir.agents.access import needed_by, programs_in
from tokenweir.agents.confinement import SYSTEM, uncovering
from tokenweir.agents.plan import RunPlan


def reachable(
    plan: RunPlan, path: str, objects: Sequence[str], programs: Sequence[str], hidden: Sequence[str]
) -> tuple[str, ...]:
    """The system, what lies in PATH, what the programs need, the repository's objects, and what the user named.

    Nothing of it holds a `hidden` directory (the user's home, the ledger's), but for what the user named.
    """
    needed = [path_ for program in programs for path_ in needed_by(program, path)]
    found = uncovering((*SYSTEM, *programs_in(path), *needed), hidden)
    return (*found, *objects, *plan.read)
