"""The command lines of credit, plans, the price book, exchange rates and standing costs; what they do is elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from tokenweir.cli.options import Data, Json, checked, directory, group

credit_app = group("Prepaid credit: add it, end it, see what is left.")
plans_app = group("Plans: a fee a month, and what it includes.")
charges_app = group("The price book: what accounts are charged for calls.")
rates_app = group("Exchange rates by day, which reports convert by.")
standing_app = group("What upstreams cost however much they are used: subscriptions and machines.")
GROUPS = {
    "credit": credit_app,
    "plans": plans_app,
    "charges": charges_app,
    "rates": rates_app,
    "standing": standing_app,
}

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]
OfAccount = Annotated[
    str, typer.Option("--account", metavar="ID", help="An account and those below it; everybody without.")
]
Model = Annotated[
    str, typer.Option("--model", metavar="PATTERN", help="A model's public name, or such as 'kimi-*'.")
]
From = Annotated[str, typer.Option("--from", metavar="WHEN", help="Such as 2026-12-01; from now on without.")]


@credit_app.command("add")
def credit_add(
    account: Account,
    amount: Annotated[str, typer.Argument(help='Such as "¥1000" or "50 USD".')],
    expires: Annotated[
        str, typer.Option(metavar="WHEN", help="When what is left is void, such as 90d or 2026-12-31.")
    ] = "",
    note: Annotated[str, typer.Option(help="What it was for.")] = "",
    id: Annotated[str, typer.Option("--id", help="An id of your own: the same one twice is refused.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Top an account up: its calls and those of the accounts below it are paid from that."""
    from tokenweir.cli import credit_command
    from tokenweir.cli.system import SystemClock

    checked(
        lambda: credit_command.add(
            directory(data), account, amount, expires, note, id, as_json, SystemClock()
        )
    )


@credit_app.command("end")
def credit_end(
    account: Account,
    id: Annotated[str, typer.Argument(metavar="CREDIT", help="The credit's id.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Void what is left of a credit."""
    from tokenweir.cli import credit_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: credit_command.end(directory(data), account, id, as_json, SystemClock()))


@credit_app.command("list")
def credit_list(data: Data = None, as_json: Json = False) -> None:
    """List accounts with credit or a plan: balance, what is reserved, and what is owed."""
    from tokenweir.cli import credit_command
    from tokenweir.cli.system import SystemClock

    credit_command.show_all(directory(data), as_json, SystemClock())


@credit_app.command("show")
def credit_show(account: Account, data: Data = None, as_json: Json = False) -> None:
    """Show an account's credits: what is drawn from each, what is left, and when it expires."""
    from tokenweir.cli import credit_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: credit_command.show_one(directory(data), account, as_json, SystemClock()))


@plans_app.command("set")
def plans_set(
    account: Account,
    name: Annotated[str, typer.Option(help="What the plan is called.")],
    fee: Annotated[str, typer.Option(metavar="MONEY", help='What a month costs, such as "¥99".')] = "",
    include: Annotated[
        str, typer.Option(metavar="AMOUNT", help='What that includes: "10M tokens", or money, "¥120".')
    ] = "",
    overage: Annotated[
        str, typer.Option(metavar="PERCENT", help="What is added to charges beyond that, such as 20%.")
    ] = "",
    month: Annotated[
        str,
        typer.Option("--from", metavar="MONTH", help="The first month, such as 2026-12; this one without."),
    ] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give an account a plan, in place of the one it has."""
    from tokenweir.cli import plans_command
    from tokenweir.cli.system import SystemClock

    words = plans_command.PlanWords(name, fee, include, overage, month)
    checked(lambda: plans_command.set_plan(directory(data), account, words, as_json, SystemClock()))


@plans_app.command("remove")
def plans_remove(account: Account, data: Data = None, as_json: Json = False) -> None:
    """Take an account's plan away."""
    from tokenweir.cli import plans_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: plans_command.remove(directory(data), account, as_json, SystemClock()))


@plans_app.command("list")
def plans_list(data: Data = None, as_json: Json = False) -> None:
    """List plans."""
    from tokenweir.cli import plans_command

    plans_command.show_all(directory(data), as_json)


@charges_app.command("set")
def charges_set(
    account: OfAccount = "",
    model: Model = "*",
    markup: Annotated[
        str,
        typer.Option(metavar="PERCENT", help="On top of what calls cost: 25%; a discount: --markup=-10%."),
    ] = "",
    input: Annotated[str, typer.Option(metavar="PRICE", help="Per million tokens of input.")] = "",
    output: Annotated[str, typer.Option(metavar="PRICE", help="Per million tokens of output.")] = "",
    cache_read: Annotated[str, typer.Option(metavar="PRICE", help="Of input from a cache.")] = "",
    cache_write_5m: Annotated[str, typer.Option(metavar="PRICE", help="Of input kept for 5 minutes.")] = "",
    cache_write_1h: Annotated[str, typer.Option(metavar="PRICE", help="Of input kept for an hour.")] = "",
    reasoning: Annotated[str, typer.Option(metavar="PRICE", help="Of reasoning; as output without.")] = "",
    currency: Annotated[str, typer.Option(help="Of these prices, such as CNY.")] = "",
    since: From = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Put a rule into the price book: a mark-up on what calls cost, or a price of its own."""
    from tokenweir.cli import charges_command
    from tokenweir.cli.system import SystemClock

    rates = {
        "input": input, "output": output, "cache_read": cache_read, "cache_write_5m": cache_write_5m,
        "cache_write_1h": cache_write_1h, "reasoning": reasoning,
    }  # fmt: skip
    words = charges_command.PriceWords(markup, currency, rates)
    checked(
        lambda: charges_command.set_charge(
            directory(data), account, model, words, since, as_json, SystemClock()
        )
    )


@charges_app.command("remove")
def charges_remove(
    account: OfAccount = "",
    model: Model = "*",
    since: Annotated[
        str,
        typer.Option("--from", metavar="WHEN", help="Which, where there are several: as the list shows it."),
    ] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take a rule out of the price book."""
    from tokenweir.cli import charges_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: charges_command.remove(directory(data), account, model, since, as_json, SystemClock()))


@charges_app.command("list")
def charges_list(
    account: Annotated[
        str, typer.Option("--account", metavar="ID", help="All that applies to an account, nearest first.")
    ] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List the price book: who is charged what, from when."""
    from tokenweir.cli import charges_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: charges_command.show_all(directory(data), account, as_json, SystemClock()))


@rates_app.command("set")
def rates_set(
    base: Annotated[str, typer.Argument(help="One of this currency, such as USD …")],
    quote: Annotated[str, typer.Argument(help="… in this one, such as CNY …")],
    rate: Annotated[str, typer.Argument(help="… is this much, such as 7.1.")],
    day: Annotated[
        str, typer.Option("--day", metavar="DAY", help="From this UTC day on; today without.")
    ] = "",
    source: Annotated[str, typer.Option(help="Where it comes from.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Set an exchange rate of a day; it holds until a later one."""
    from tokenweir.cli import rates_command
    from tokenweir.cli.system import SystemClock

    checked(
        lambda: rates_command.set_rate(
            directory(data), (base, quote), rate, day, source, as_json, SystemClock()
        )
    )


@rates_app.command("import")
def rates_import(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV: base,quote,day,rate and perhaps source.")
    ],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Set the rates of a CSV file, all of them or none."""
    from tokenweir.cli import rates_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: rates_command.import_file(directory(data), file, as_json, SystemClock()))


@rates_app.command("list")
def rates_list(
    every: Annotated[bool, typer.Option("--all", help="Those of every day, not the latest alone.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List exchange rates."""
    from tokenweir.cli import rates_command

    rates_command.show_all(directory(data), every, as_json)


@standing_app.command("set")
def standing_set(
    id: Annotated[str, typer.Argument(metavar="ID", help="What it is known by, such as coding-plan.")],
    upstream: Annotated[str | None, typer.Option(metavar="NAME", help="Of which upstream.")] = None,
    cost: Annotated[str | None, typer.Option(metavar="MONEY", help='Of one unit, such as "¥199".')] = None,
    per: Annotated[str | None, typer.Option(metavar="WORD", help="month or hour.")] = None,
    units: Annotated[int | None, typer.Option(help="How many GPUs or seats; 1 without.")] = None,
    spread_by: Annotated[
        str | None,
        typer.Option(
            metavar="WORD", help="Over calls by their tokens, or the time they took; tokens without."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="WHEN", help="In UTC; this month's beginning without.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="In UTC, not included; never.")] = None,
    note: Annotated[str | None, typer.Option(help="What it is.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Note what an upstream costs however much it is used, or change it; what is not named stays as it is."""
    from tokenweir.cli import standing_command
    from tokenweir.cli.system import SystemClock

    words = standing_command.StandingWords(upstream, cost, per, units, spread_by, since, until, note)
    checked(lambda: standing_command.set_standing(directory(data), id, words, as_json, SystemClock()))


@standing_app.command("list")
def standing_list(data: Data = None, as_json: Json = False) -> None:
    """List what upstreams cost however much they are used."""
    from tokenweir.cli import standing_command

    standing_command.show_all(directory(data), as_json)
