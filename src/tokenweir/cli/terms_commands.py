"""The command lines of `weir accounts`, `weir keys` and `weir limits`: what the words are; what they do is elsewhere."""

from typing import Annotated

import typer

from tokenweir.cli.options import Data, Json, checked, directory, group

accounts_app = group("Accounts, who pay: make, change, close and list them.")
keys_app = group("Make, list, change, rotate and revoke keys.")
limits_app = group("Limits of money, tokens or calls: set, lift and list them.")
GROUPS = {"accounts": accounts_app, "keys": keys_app, "limits": limits_app}

AccountId = Annotated[str, typer.Argument(metavar="ID", help="The account's id.")]
KeyWord = Annotated[str, typer.Argument(help="The key's id, or its name where only one has it.")]
Parent = Annotated[str | None, typer.Option(metavar="ID", help="The account above; none: it stands alone.")]
Title = Annotated[str | None, typer.Option(help="What it is called.")]
Zone = Annotated[
    str | None,
    typer.Option(
        metavar="ZONE", help="Whose days and months it lives by, such as Asia/Shanghai; none: as above."
    ),
]
Beyond = Annotated[
    str | None,
    typer.Option(metavar="WORD", help="Calls beyond its credit or allowance: refuse, or bill."),
]
Models = Annotated[
    str | None, typer.Option(metavar="LIST", help='Models it may ask for, such as "kimi-*,glm-5"; none: all.')
]
Dialects = Annotated[
    str | None, typer.Option(metavar="LIST", help="Dialects it may speak, such as chat,messages; none: all.")
]
Expires = Annotated[
    str | None, typer.Option(metavar="WHEN", help="Until when it is good, such as 90d or 2026-12-31; never.")
]
Role = Annotated[
    str | None, typer.Option(help="In the admin API: owner, admin, member or auditor; none: no role.")
]
Run = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="The run that its calls belong to; none.")
]
OnAccount = Annotated[str, typer.Option("--account", metavar="ID", help="On an account.")]
OnKey = Annotated[str, typer.Option("--key", metavar="KEY", help="On a key, by id or name.")]
OnRun = Annotated[str, typer.Option("--run", metavar="RUN", help="On a run.")]
OfModel = Annotated[
    str, typer.Option("--model", metavar="PATTERN", help="Only calls of these, such as 'kimi-*'.")
]
LimitText = Annotated[
    str, typer.Argument(metavar="LIMIT", help='Such as "¥500/month", "2M tokens/day" or "4 calls at once".')
]


@accounts_app.command("create")
def accounts_create(
    id: AccountId,
    parent: Parent = None,
    name: Title = None,
    time_zone: Zone = None,
    beyond_credit: Beyond = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make an account."""
    from tokenweir.cli import accounts_command
    from tokenweir.cli.system import SystemClock

    words = accounts_command.AccountWords(parent, name, time_zone, beyond_credit)
    checked(lambda: accounts_command.create(directory(data), id, words, as_json, SystemClock()))


@accounts_app.command("set")
def accounts_set(
    id: AccountId,
    parent: Parent = None,
    name: Title = None,
    time_zone: Zone = None,
    beyond_credit: Beyond = None,
    reopen: Annotated[bool, typer.Option("--reopen", help="Open it again.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change an account; what is not named stays as it is."""
    from tokenweir.cli import accounts_command
    from tokenweir.cli.system import SystemClock

    words = accounts_command.AccountWords(parent, name, time_zone, beyond_credit)
    checked(lambda: accounts_command.set_account(directory(data), id, words, reopen, as_json, SystemClock()))


@accounts_app.command("close")
def accounts_close(id: AccountId, data: Data = None, as_json: Json = False) -> None:
    """Close an account and all below it: calls of their keys are refused from now on."""
    from tokenweir.cli import accounts_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: accounts_command.close(directory(data), id, as_json, SystemClock()))


@accounts_app.command("list")
def accounts_list(data: Data = None, as_json: Json = False) -> None:
    """List accounts as a tree: this month's money with all below, limits and how much of them is used, balance."""
    from tokenweir.cli import accounts_command
    from tokenweir.cli.system import SystemClock

    accounts_command.show_all(directory(data), as_json, SystemClock())


@accounts_app.command("show")
def accounts_show(id: AccountId, data: Data = None, as_json: Json = False) -> None:
    """Show one account: what it used, every limit above its calls, who pays, and what it is charged."""
    from tokenweir.cli import accounts_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: accounts_command.show_one(directory(data), id, as_json, SystemClock()))


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    limit: Annotated[
        list[str] | None,
        typer.Option(help='Such as "¥5/day", "2M tokens/month" or "100 calls/day"; may stand several times.'),
    ] = None,
    account: Annotated[str, typer.Option(help="Who pays.")] = "default",
    models: Models = None,
    dialects: Dialects = None,
    expires: Expires = None,
    role: Role = None,
    run: Run = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a key; its secret is shown once."""
    from tokenweir.cli import keys_command
    from tokenweir.cli.system import SystemClock

    words = keys_command.KeyWords(models=models, dialects=dialects, expires=expires, role=role, run=run)
    checked(
        lambda: keys_command.create(
            directory(data), name, account, tuple(limit or ()), words, as_json, SystemClock()
        )
    )


@keys_app.command("set")
def keys_set(
    key: KeyWord,
    name: Annotated[str | None, typer.Option(help="What the key is for.")] = None,
    account: Annotated[str | None, typer.Option(metavar="ID", help="Who pays for its calls to come.")] = None,
    models: Models = None,
    dialects: Dialects = None,
    expires: Expires = None,
    role: Role = None,
    run: Run = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change what a key may do; what is not named stays as it is."""
    from tokenweir.cli import keys_command
    from tokenweir.cli.system import SystemClock

    words = keys_command.KeyWords(name, account, models, dialects, expires, role, run)
    checked(lambda: keys_command.set_key(directory(data), key, words, as_json, SystemClock()))


@keys_app.command("rotate")
def keys_rotate(
    key: KeyWord,
    overlap: Annotated[
        str,
        typer.Option(metavar="SPAN", help="For how long the secret before is good too; 0 for not at all."),
    ] = "24h",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give a key a new secret, shown once; the one before is good for a while."""
    from tokenweir.cli import keys_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: keys_command.rotate(directory(data), key, overlap, as_json, SystemClock()))


@keys_app.command("list")
def keys_list(
    revoked: Annotated[bool, typer.Option("--all", help="Revoked ones too.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List keys: never their secrets."""
    from tokenweir.cli import keys_command

    keys_command.show_all(directory(data), revoked, as_json)


@keys_app.command("revoke")
def keys_revoke(key: KeyWord, data: Data = None, as_json: Json = False) -> None:
    """Revoke a key: calls with it are refused from now on."""
    from tokenweir.cli import keys_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: keys_command.revoke(directory(data), key, as_json, SystemClock()))


@limits_app.command("set")
def limits_set(
    limit: LimitText,
    account: OnAccount = "",
    key: OnKey = "",
    run: OnRun = "",
    model: OfModel = "",
    soft: Annotated[
        bool, typer.Option("--soft", help="Refuse once it is reached; what is under way by then may pass it.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Set a limit, in place of one of the same unit and window; every limit above a call holds."""
    from tokenweir.cli import limits_command
    from tokenweir.cli.system import SystemClock

    on = (account, key, run)
    checked(lambda: limits_command.set_limit(directory(data), limit, on, model, soft, as_json, SystemClock()))


@limits_app.command("remove")
def limits_remove(
    limit: LimitText,
    account: OnAccount = "",
    key: OnKey = "",
    run: OnRun = "",
    model: OfModel = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Lift the limit of this unit and window, whatever its amount."""
    from tokenweir.cli import limits_command
    from tokenweir.cli.system import SystemClock

    on = (account, key, run)
    checked(lambda: limits_command.remove(directory(data), limit, on, model, as_json, SystemClock()))


@limits_app.command("list")
def limits_list(
    account: OnAccount = "", key: OnKey = "", run: OnRun = "", data: Data = None, as_json: Json = False
) -> None:
    """List limits: what is spent, reserved by calls under way, and left, and when each renews."""
    from tokenweir.cli import limits_command
    from tokenweir.cli.system import SystemClock

    on = (account, key, run)
    checked(lambda: limits_command.show_all(directory(data), on, as_json, SystemClock()))
