"""The command lines of agents and their runs; what they do is elsewhere."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tokenweir.cli.options import Config, Data, Json, alone, checked, directory, group

runs_app = group("Runs of agents: list them, show one, and take its changes over.")
#: What `weir` has of them: a group, and two commands that stand alone.
GROUPS = {"runs": runs_app, "run": alone(), "agents": alone()}

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="The run's id, or how it begins; `last` for the newest.")
]
Adapter = Annotated[
    Path | None,
    typer.Option("--adapter", metavar="FILE", help="An adapter of your own beside those that are known."),
]


@GROUPS["agents"].command()
def agents(adapter: Adapter = None, as_json: Json = False) -> None:
    """List the agents that can be run: which are here, in which version, and how to install the others."""
    from tokenweir.cli import agents_command

    agents_command.run(os.environ, adapter, as_json)


Budget = Annotated[
    list[str] | None,
    typer.Option(
        "--budget", metavar="MONEY", help='Such as "¥5" or "$2"; once for each currency of the models.'
    ),
]
Protect = Annotated[
    list[str] | None,
    typer.Option(
        "--protect",
        metavar="PATTERN",
        help="Files that --verify has as they were; may stand several times. Without it, what is named like a test.",
    ),
]
Verify = Annotated[
    str,
    typer.Option(
        "--verify", metavar="COMMAND", help="Checks the work in a clean tree: solved where it ends with 0."
    ),
]
Command = Annotated[
    str,
    typer.Option(
        "--command",
        metavar="COMMAND",
        help="What `custom` starts, with {task}, {model}, {base_url} or {key} in it.",
    ),
]
Read = Annotated[
    list[Path] | None, typer.Option("--read", metavar="PATH", help="What the sandbox lets it read, too.")
]
Write = Annotated[
    list[Path] | None, typer.Option("--write", metavar="PATH", help="What the sandbox lets it write, too.")
]
Env = Annotated[
    list[str] | None, typer.Option("--env", metavar="NAME", help="A variable of yours that it sees.")
]
InPlace = Annotated[bool, typer.Option("--in-place", help="Work in this tree itself, not in a copy of it.")]
NoSandbox = Annotated[bool, typer.Option("--no-sandbox", help="Let it read and write all that you can.")]
ToolCalls = Annotated[
    str, typer.Option("--tool-calls", help="Most tool calls that answers may ask for, such as 200.")
]
KeepText = Annotated[
    str,
    typer.Option(
        "--keep-text", metavar="SPAN", help="Keep all that is asked and answered for this long, such as 7d."
    ),
]
Agents = Annotated[str, typer.Option("--agents", metavar="A,B", help="Several agents, for a table.")]
Models = Annotated[str, typer.Option("--models", metavar="A,B", help="Several models, for a table.")]


@GROUPS["run"].command()
def run(
    agent: Annotated[
        str,
        typer.Argument(
            metavar="AGENT", help="Whose command line is started; left out where --agents stands."
        ),
    ],
    task: Annotated[str, typer.Argument(metavar="TASK", help="What it is told to do.")] = "",
    model: Annotated[str, typer.Option(help="Which model of the gateway it uses.")] = "",
    budget: Budget = None,
    tokens: Annotated[str, typer.Option(help="Most tokens of all classes, such as 2M.")] = "",
    calls: Annotated[str, typer.Option(help="Most calls.")] = "",
    tool_calls: ToolCalls = "",
    time: Annotated[str, typer.Option(help="Longest time, such as 90s, 30m or 2h.")] = "1h",
    account: Annotated[str, typer.Option(help="Who pays.")] = "default",
    verify: Verify = "",
    verify_time: Annotated[str, typer.Option(help="Longest time for --verify.")] = "10m",
    protect: Protect = None,
    command: Command = "",
    adapter: Adapter = None,
    read: Read = None,
    write: Write = None,
    env: Env = None,
    in_place: InPlace = False,
    no_sandbox: NoSandbox = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the copy that it worked in, and what was printed.")
    ] = False,
    keep_text: KeepText = "",
    repeat: Annotated[int, typer.Option(min=1, max=100, help="How often, for a table.")] = 1,
    agents: Agents = "",
    models: Models = "",
    config: Config = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Start an agent on a task under a budget, in a copy of this tree, and check what it did."""
    from tokenweir.cli import run_command

    names = _words(agents) if agents else (agent,)
    asked = run_command.Asked(
        agents=names, models=_words(models) if models else _words(model), task=agent if agents and not task else task,
        budget=tuple(budget or ()), tokens=tokens, calls=calls, tool_calls=tool_calls, time=time, account=account, verify=verify,
        verify_time=verify_time, protect=tuple(protect or ()), command=command, adapter=adapter,
        read=tuple(read or ()), write=tuple(write or ()), variables=tuple(env or ()), in_place=in_place,
        sandbox=not no_sandbox, keep=keep, keep_text=keep_text, repeat=repeat, as_json=as_json,
    )  # fmt: skip

    def act() -> None:
        raise SystemExit(run_command.run(directory(data, config), asked, os.environ, config))

    checked(act)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


@runs_app.command("list")
def runs_list(data: Data = None, as_json: Json = False) -> None:
    """List runs, newest first."""
    from tokenweir.cli import runs_command

    runs_command.list_all(directory(data), as_json)


@runs_app.command("show")
def runs_show(run: Run = "last", data: Data = None, as_json: Json = False) -> None:
    """Show how a run ended, what it cost, and its calls."""
    from tokenweir.cli import runs_command

    runs_command.show_one(directory(data), run, as_json)


@runs_app.command("diff")
def runs_diff(
    run: Run = "last",
    other: Annotated[
        str, typer.Argument(metavar="OTHER", help="A second run: both side by side, in figures.")
    ] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Print what a run changed, as a patch; or two runs side by side: verdicts, costs, tokens, tools, steps, changes."""
    from tokenweir.cli import runs_command

    checked(lambda: runs_command.diff(directory(data), run, other, as_json))


@runs_app.command("apply")
def runs_apply(run: Run = "last", data: Data = None) -> None:
    """Take a run's changes over into the tree that it began from: all of them, or none where they do not fit."""
    from tokenweir.cli import runs_command

    raise SystemExit(runs_command.apply(directory(data), run))


@runs_app.command("text")
def runs_text(
    run: Run = "last",
    step: Annotated[int, typer.Argument(min=0, metavar="STEP", help="One step alone; without it all.")] = 0,
    data: Data = None,
) -> None:
    """Print what was asked and answered in a run that kept its text (`--keep-text`): one object of JSON a step."""
    from tokenweir.cli import run_texts_command

    run_texts_command.print_texts(directory(data), run, step)


@runs_app.command("forget")
def runs_forget(run: Run, data: Data = None) -> None:
    """Remove a run's text, and what `--keep` kept of it. What it did and cost stays."""
    from tokenweir.cli import run_texts_command

    run_texts_command.forget(directory(data), run)


@runs_app.command("export")
def runs_export(
    run: Run = "last",
    format: Annotated[
        str,
        typer.Option(
            "--format", help="otel (OTLP as JSON), atif (a trajectory) or jsonl (a line for each step)."
        ),
    ] = "jsonl",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Without it, standard output.")
    ] = None,
    data: Data = None,
) -> None:
    """Write a run down for other tools: as OpenTelemetry's GenAI spans, as an ATIF trajectory, or as lines of JSON."""
    from tokenweir.cli import run_export_command

    checked(lambda: run_export_command.export(directory(data), run, format, out))
