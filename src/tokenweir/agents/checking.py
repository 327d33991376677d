"""The work of a run checked: in a clean tree, with the tests as they were, and as confined as the agent was."""

import shutil
from pathlib import Path

from tokenweir.agents import workspace
from tokenweir.agents.confine import NO_SANDBOX, NOT_FOUND, NOT_STARTED, command_of
from tokenweir.agents.confinement import Confinement, environment
from tokenweir.agents.plan import Machine, RunPlan
from tokenweir.agents.process import Group
from tokenweir.agents.reach import reachable
from tokenweir.agents.verdict import Check
from tokenweir.agents.workspace import Workspace
from tokenweir.core.errors import AgentError

_LOOK_S = 0.1
#: Of what the check printed last, so much is told.
_MOST_WORDS = 300


def check(
    plan: RunPlan,
    space: Workspace,
    result: str,
    place: Path,
    machine: Machine,
    run: str,
    hidden: tuple[str, ...],
) -> tuple[Check, str]:
    """What `--verify` says of the commit `result`, and why where it is not plain. No network is there for it."""
    tree, home = place / "verify", place / "verify-home"
    try:
        workspace.check_out_judged(space, result, plan.protect, tree)
        (home / "tmp").mkdir(parents=True)
        environ = environment(machine.environ, {}, home=str(home), run=run, named=plan.variables)
        confined = Confinement(
            means=plan.means,
            command=("sh", "-c", plan.verify),
            read=reachable(plan, environ["PATH"], space.objects, (), hidden),
            write=(str(tree), str(home), *plan.write),
            port=0,
        )
        cwd = tree / space.source.below
        cwd.mkdir(parents=True, exist_ok=True)
        return _judged(Group(command_of(confined), cwd, environ, place, "verify"), plan, machine)
    except (AgentError, OSError) as error:
        return Check.BROKEN, str(error)
    finally:
        for directory in (tree, home):
            shutil.rmtree(directory, ignore_errors=True)


def _judged(group: Group, plan: RunPlan, machine: Machine) -> tuple[Check, str]:
    until_us = machine.clock.steady_us() + plan.verify_time_s * 1_000_000
    while (code := group.wait(_LOOK_S)) is None:
        if machine.interrupts():
            group.end()
            return Check.BROKEN, "interrupted while the work was checked"
        if machine.clock.steady_us() >= until_us:
            group.end()
            return Check.FAILED, f"the check took longer than {plan.verify_time_s} s"
    group.end()
    if code in (NO_SANDBOX, NOT_STARTED, NOT_FOUND):
        return Check.BROKEN, f"the check could not be run: {group.errors.end().strip()[-_MOST_WORDS:]}"
    return (
        (Check.PASSED, "") if code == 0 else (Check.FAILED, f"the check ended with {code}{_last_line(group)}")
    )


def _last_line(group: Group) -> str:
    lines = (group.errors.end().strip() or group.output.end().strip()).splitlines()
    return f": {lines[-1][:_MOST_WORDS]}" if lines else ""
