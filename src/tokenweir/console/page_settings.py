"""Settings as they are in force, and where each comes from; those of the file are changed here. What is served stands below."""

from collections.abc import Mapping

from tokenweir.admin.lookups import SettingNow
from tokenweir.admin.problems import Problem
from tokenweir.console.page import Outcome, Redirect, Visit, shown
from tokenweir.console.table import Badge, Column, Link, Table

_COLUMNS = (
    Column("name", "link"),
    Column("value", "long"),
    Column("source", "badge"),
    Column("help", "long"),
)
_UPSTREAMS = (
    Column("upstream"),
    Column("kind"),
    Column("address"),
    Column("dialects"),
    Column("why", "long"),
)
_MODELS = (Column("model"), Column("deployments", "long"), Column("aliases", "long"))


def show(visit: Visit) -> Outcome:
    """All that stand once, one of them to be changed where the query names it; then upstreams and models."""
    settings, served = visit.outside.settings(), visit.outside.served()
    rows = [_row(visit, setting) for setting in settings]
    upstreams = [
        (u.name, u.kind, u.address, ", ".join(u.dialects), visit.tell(u.why)) for u in served.upstreams
    ]
    models = [
        (model.name, ", ".join(d.name for d in model.deployments), ", ".join(model.aliases) or None)
        for model in served.models
    ]
    return shown(
        "settings.html",
        tables=(
            Table(name="settings", words="settings", columns=_COLUMNS, rows=rows),
            Table(name="upstreams", words="settings", columns=_UPSTREAMS, rows=upstreams),
            Table(name="models", words="settings", columns=_MODELS, rows=models),
        ),
        chosen=next((setting for setting in settings if setting.name == visit.query["name"]), None),
        help_of=help_of,
    )


def _row(visit: Visit, setting: SettingNow) -> tuple[object, ...]:
    return (
        Link(setting.name, visit.to("/settings", name=setting.name) + "#change"),
        _value(visit, setting) or None,
        _source(setting.source),
        help_of(visit, setting),
    )


def _value(visit: Visit, setting: SettingNow) -> str:
    if setting.unit and setting.value.isdigit():
        return f"{visit.format.n(int(setting.value))} {visit.tell(setting.unit)}"
    return f"{visit.format.grouped(setting.value)} {visit.tell(setting.unit)}".strip()


def help_of(visit: Visit, setting: SettingNow) -> str:
    """What it is. The docs set names and values in it apart by backticks; here it is plain text."""
    return visit.tell(setting.help).replace("`", "")


def _source(source: str) -> Badge:
    words = {"default": "settings.from_default", "file": "settings.from_file"}
    return Badge(source, "" if source == "default" else "good", words.get(source, ""))


# --- forms


def change(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Set it in the file."""
    return _put(visit, fields, fields.get("value", ""))


def reset(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Take it out of the file."""
    return _put(visit, fields, None)


def _put(visit: Visit, fields: Mapping[str, str], value: str | None) -> Outcome:
    name = fields.get("name", "")
    outcome = visit.do("put_setting", name=name, body={"value": value})
    if isinstance(outcome, Problem):
        return outcome
    waits = any(setting.name == name and setting.at_start for setting in visit.outside.settings())
    return Redirect(visit.to("/settings", name=name, done="restart" if waits else "saved"))
