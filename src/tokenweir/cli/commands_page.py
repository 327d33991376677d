"""`docs/commands.md`, generated from the commands themselves and the table of exit codes."""

import typer.main
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from tokenweir.cli.exits import EXIT_CODES
from tokenweir.cli.main import app

_INTRODUCTION = """\
# Commands

Every command takes `--data DIR` where it reads or writes the ledger; without it, the directory is that of the
settings (docs/settings.md). All of them but `weir ledger move` work while `weir up` runs. Colours are for terminals;
`NO_COLOR` turns them off and `FORCE_COLOR` on.

This page is generated from the commands themselves: `src/tokenweir/cli/main.py` and what it puts together.
"""

_JSON = """\
## JSON

Fields are only added, never renamed or removed. Money is exact decimal strings by currency; token classes are disjoint.

| command | what it prints |
|---|---|
| `weir accounts list --json` | `{"accounts": [{"id", "parent", "depth", "name", "time_zone", "beyond_credit", "closed", "month": {…}, \
"limits": […], "credit": {…}, "keys"}]}`, each before those below it; `month` has the sums of all below, as a row of `weir usage` |
| `weir keys create --json`, `weir keys rotate --json` | `{"id": …, "key": "sk-weir-…", "name": …, …}` |
| `weir keys list --json` | `{"keys": [{"id", "name", "account", "hint", "limits", "created", "revoked", "models", "dialects", "expires", "role", \
"run", "old_until"}]}` |
| `weir limits list --json` | `{"limits": [{"scope": "account/acme", "text", "model", "unit", "amount", "window", "mode", "spent", "reserved", "left", \
"renews", "zone"}]}` |
| `weir credit list --json` | `{"accounts": [{"account", "currency", "balance", "reserved", "available", "overage", "owed", "plan", "allowance", \
"credits": [{"id", "amount", "drawn", "left", "added", "expires", …}], …}]}`; `weir credit show --json`: one of them |
| `weir plans list --json` | `{"plans": [{"account", "name", "currency", "fee", "allowance", "allowance_unit", "overage_percent", "since"}]}` |
| `weir charges list --json` | `{"charges": [{"account", "model", "since", "markup_percent", "currency", "rates", "state"}]}` |
| `weir rates list --json` | `{"rates": [{"base", "quote", "day", "rate", "source"}]}` |
| `weir standing list --json` | `{"standing": [{"id", "upstream", "currency", "cost", "per", "units", "spread_by", "since", "until", "note"}]}` |
| `weir audit --json` | one object a line: `{"seq", "at", "actor", "actor_name", "kind", "what", "after_seq"}` |
| `weir usage --json` | `{"rows": [{"by": {"model": …}, "calls", "tokens": {"input", "cache_read", "cache_write", "output", \
"reasoning"}, "cost": {"CNY": "0.000012"}, "charge", "margin", "unpriced_calls", "estimated_calls", …}], "since", "until"}`; with `--in` each row has \
`"converted": {"currency", "cost", "charge", "margin", "cost_apart", …}`, and `"rates"` names those used; with `--tree`, `"parent"` and `"depth"` |
| `weir calls --json` | one object a line: `{"call", "at", "key", "model", "tokens", "cost", "outcome", …, "seq"}` |
| `weir calls CALL --json` | the same object with `"entries": [{"seq", "kind", "tokens", "price", "products": [{"token_class", \
"tokens", "per_million", "amount"}], "cost", …}]`; under way: `{"call", "open", "entries"}` |
| `weir run --json` | one object a run: `{"id", "agent", "version", "model", "limits", "verdict", "ending", "check", "exit_code", "calls", "refused", \
"tokens", "cost", "own_cost", "files_changed", "duration_ms", …}`; where there are several, `{"comparison": [{"agent", "model", "trials", "solved", \
"share", "interval", "cost_per_solved", …}]}` behind them |
| `weir runs list --json`, `weir runs show --json` | `{"runs": […]}`, each such an object, null where it has not ended; such an object with \
`"made": […]`, its calls as in `weir calls --json`, `"steps": [{"number", "call", "purpose", "why", "parent", "parent_tool", "tools": [{"name", \
"digest", "files", "commands", "result_bytes", "failed", "took_ms", …}], …}]`, and `"cost_differences"` where the agent says a cost of its own |
| `weir runs diff RUN OTHER --json` | `{"one": {"run", "verdict", "cost", "calls", "tokens", "duration_ms", "tools": {…}, "touched", "changed", …}, "other", \
"parts_at": {"one", "other", "words"}, "steps": […], "changes": [{"file", "how"}]}`; numbers of steps are null where a run has none like it |
| `weir runs text` | one object a step: `{"step", "call", "at", "dialect", "request", "answer", "cut"}` |
| `weir runs export` | one object a step: `{"run", "agent", "number", "purpose", "why", "parent", "parent_tool", "call": {…}, "tools": […], …}`, \
`call` as in `weir calls --json`; `--format otel` and `atif`: as their specifications have it |
| `weir agents --json` | `{"agents": [{"name", "title", "dialect", "program", "version", "tested", "install"}]}` |
| `weir ledger verify --json` | `{"ok": true, "entries": …}` |
| `weir ledger move --json` | `{"to": "PostgreSQL", "entries", "calls", "changes", "rows", "kept"}` |
| `weir reconcile --json` | `{"upstream", "format", "confirmed", "tolerance", "agrees", "sections": [{"section", "grain", "zone", \
"since", "until", "groups": {"matched", "different", "ours only", "theirs only": {"cells", "ours": {"tokens", "money", …}, "theirs"}}, \
"cells": [{"outcome", "period", "model", "item", "ours", "theirs", "difference", "rows", …}], …}], "unread"}` |
| `weir models --json`, `weir prices show --json` | `{"models": [{"model", "aliases", "deployments": [{"deployment", "prices": [{"currency", \
"valid_from", "brackets", "windows", "now", …}], "context", "max_output", "flags", …}]}]}` |
| `weir prices update --json` | `{"source", "date", "models", "new": [{"provider", "model", "before", "now"}], "changed", "removed", "lost", \
"file", "reloaded"}` |
| `weir invoice preview --json`, `issue`, `show` | `{"id", "number", "account", "month", "time_zone", "issued", "accounts", "lines": [{"line", "account", "model", \
"attempts", "price", "token_class", "tokens", "per_million", "currency", "amount"}], "corrections": […], "without_money": [{"what", "tokens", …}], \
"fees", "surcharges", "paid", "totals": [{"currency", "charges", "corrections", "fees", "surcharges", "allowance", "credit", "due"}], "converted"}` |
| `weir invoice list --json` | `{"invoices": [{"id", "number", "account", "month", "issued", "by", "due"}]}` |
| `weir invoice explain ID --line N --json` | one object a line: `{"sign", "seq", "call", "at", "kind", "account", "key", "model", "deployment", "tokens", \
"currency", "amount", …}` |
| `weir rerate --json` | `{"correction", "attempts", "differ", "priced", "unpriced", "cost_before", "cost_after", "charge_before", "charge_after", "dry_run"}` |
| `weir standing spread --json` | `{"spreads": [{"upstream", "month", "currency", "costs", "idle", "attempts", "written", "cost_before", "cost_after", …}]}` |
| `weir upstreams list --json` | `{"upstreams": [{"name", "served", "address", "drained", "note", "attempts", "errors", "ttft_p50_ms", "ttft_p95_ms", \
"cached"}]}`, of the last 24 hours |
| `weir settings list --json` | `{"file", "settings": [{"name", "value", "default", "source", "unit", "needs_restart"}]}` |
| `weir doctor --json` | `{"ok", "findings": [{"check", "state", "text", "advice"}]}` |
"""


def commands_markdown() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    parts = [_INTRODUCTION]
    parts += [_section(path, command) for path, command in _leaves("weir", root)]
    codes = "\n".join(f"| {code} | {text} |" for code, text in EXIT_CODES)
    parts.append(_JSON)
    parts.append(f"## Exit codes\n\n| code | meaning |\n|---|---|\n{codes}\n")
    return "\n".join(parts)


def _leaves(path: str, command: object) -> list[tuple[str, TyperCommand]]:
    if isinstance(command, TyperCommand):
        return [(path, command)]
    assert isinstance(command, TyperGroup)
    return [leaf for name, child in command.commands.items() for leaf in _leaves(f"{path} {name}", child)]


def _section(path: str, command: TyperCommand) -> str:
    lines = [f"## `{path}`\n", f"{(command.help or '').strip()}\n"]
    rows = [_option(param) for param in command.params if isinstance(param, TyperOption)]
    rows = [*(_argument(param) for param in command.params if isinstance(param, TyperArgument)), *rows]
    if rows:
        lines += ["| argument or option | what it is |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _argument(param: TyperArgument) -> str:
    return f"| `{(param.name or '').upper()}` | {param.help or ''} |"


def _option(param: TyperOption) -> str:
    value = "" if param.is_flag else f" {param.metavar or 'VALUE'}"
    name = ", ".join(f"`{opt}{value}`" for opt in param.opts)
    default = param.default if isinstance(param.default, str | int) and not param.is_flag else ""
    remark = " (required)" if param.required else f" (default: `{default}`)" if default != "" else ""
    return f"| {name} | {param.help or ''}{remark} |"


if __name__ == "__main__":
    print(commands_markdown(), end="")
