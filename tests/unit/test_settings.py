"""Settings: one table, three sources, errors that name the place and the nearest right name."""

from pathlib import Path

import msgspec
import pytest

from tokenweir.cli.secrets import Secret
from tokenweir.cli.settings import LIMITS, Settings, data_dir
from tokenweir.cli.settings_file import load_settings
from tokenweir.cli.settings_page import settings_markdown
from tokenweir.cli.settings_table import REQUIRED, settings_table
from tokenweir.core.errors import SettingsError
from tokenweir.gateway.config import Limits

CONTRACT = """\
[server]
port = 8787
[[upstream]]
name = "kimi"
kind = "openai"                        # an OpenAI-compatible address; or a provider of the catalog
url = "http://127.0.0.1:9001/v1"       # not needed where the catalog knows it
api_key = "env:MOONSHOT_API_KEY"
[[model]]
name = "kimi-k2"
deployments = ["kimi/kimi-k2-0905-preview"]      # upstream/model
price = { input = 4.0, cache_read = 1.0, output = 16.0, currency = "CNY" }   # per million tokens
"""


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None, **flags: object) -> Settings:
    file = tmp_path / "weir.toml"
    file.write_text(text)
    return load_settings(environ or {}, file=file, flags=flags)


def test_the_documented_file_is_read(tmp_path: Path) -> None:
    settings = load(tmp_path, CONTRACT)
    assert settings.server.port == 8787
    assert settings.upstreams[0].api_key == Secret("env", "MOONSHOT_API_KEY")
    price = settings.models[0].price
    assert price is not None
    assert (price.input, price.cache_read, price.output) == (4_000_000, 1_000_000, 16_000_000)
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[server]\nprot = 1",
            "weir.toml, line 2, [server] prot: there is no such setting; did you mean 'port'?",
        ),
        ("[servr]\n", "weir.toml, line 1: there is no section 'servr'; did you mean 'server'?"),
        ('[server]\nport = "x"', "weir.toml, line 2, [server] port must be a whole number, not a text"),
        ("[server]\nport = true", "[server] port must be a whole number, not true"),
        ("[server]\nport = 70000", "from 0 to 65,535, not 70,000"),
        ("[server]\nidle_timeout_s = nan", "more than 0 and at most 86,400 seconds"),
        ('[ledger]\ndurability = "none"', "must be one of 'fsync', 'os', not 'none'"),
        (
            '[[upstream]]\nname = "a"\n[[upstream]]\nname = "b"\n\nkin = "x"',
            "line 6, [[upstream]] kin: there is no such setting; did you mean 'kind'?",
        ),
        (
            '[[upstream]]\nname = "a"\n[[upstream]]\nname = "a"',
            "line 4, [[upstream]] name 'a' is empty or stands twice",
        ),
        (
            '[[upstream]]\nname = "a"\nurl = "ftp://x"',
            "must be an address that begins with http:// or https://",
        ),
        ('[upstream]\nname = "a"', "must be written with double brackets, [[upstream]]"),
        ('[[model]]\nname = "m"', "line 1, [[model]]: 'deployments' is missing"),
        (
            '[[model]]\nname="m"\ndeployments=["a/b"]\nprice={input=0.1234567, output=1, currency="CNY"}',
            "line 4, [[model]] price has a wrong input: '0.1234567' has more than 6 decimals",
        ),
        (
            '[[model]]\nname="m"\ndeployments=["a/b"]\nprice={input=1, output=1, currency="yuan"}',
            "not a currency code",
        ),
        ("port", "is not TOML"),
    ],
)
def test_a_wrong_file_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, text)
    assert message in str(raised.value)


def test_environment_goes_over_the_file_and_flags_over_both(tmp_path: Path) -> None:
    text = "[server]\nport = 1000\nworkers = 2\nhost = '10.0.0.1'"
    settings = load(tmp_path, text, {"WEIR_PORT": "2000", "WEIR_WORKERS": "3"}, port=3000, host=None)
    assert (settings.server.port, settings.server.workers, settings.server.host) == (3000, 3, "10.0.0.1")


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="WEIR_PORT must be a whole number, not 'many'"):
        load(tmp_path, "", {"WEIR_PORT": "many"})
    warned = load(tmp_path, "", {"WEIR_PROT": "1"}).warnings
    assert warned == ("the environment variable WEIR_PROT sets nothing; did you mean 'WEIR_PORT'?",)


def test_no_file_is_no_error_but_a_named_one_that_is_missing_is(tmp_path: Path) -> None:
    assert load_settings({}, directory=tmp_path) == Settings()
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_settings({"WEIR_CONFIG": str(tmp_path / "none.toml")}, directory=tmp_path)


def test_secrets_are_never_shown_and_only_looked_up_when_used(tmp_path: Path) -> None:
    text = '[[upstream]]\nname = "a"\napi_key = "sk-very-secret"\nheaders = { x-k = "env:NOT_SET" }'
    settings = load(tmp_path, text)
    assert "sk-very-secret" not in f"{settings!r}{settings.upstreams[0]}"
    assert "stands in the settings" in settings.warnings[0]
    assert "sk-very-secret" not in settings.warnings[0]
    key = settings.upstreams[0].api_key
    assert key is not None
    assert key.resolve({}) == "sk-very-secret"
    with pytest.raises(SettingsError, match="variable NOT_SET is not set"):
        settings.upstreams[0].headers[0][1].resolve({})


def test_a_secret_comes_from_a_file_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-abc\n")
    assert Secret.parse(f"file:{tmp_path / 'key'}").resolve({}) == "sk-abc"
    with pytest.raises(SettingsError, match="cannot be read"):
        Secret.parse(f"file:{tmp_path / 'none'}").resolve({})
    with pytest.raises(ValueError, match="must name something"):
        Secret.parse("env:")


def test_every_setting_says_what_it_is_and_every_limit_is_a_setting() -> None:
    table = settings_table()
    assert all(row.help for row in table)
    assert set(LIMITS) == {field.name for field in msgspec.structs.fields(Limits)}
    variables = [row.env for row in table if row.env]
    assert len(variables) == len(set(variables))


def test_every_default_is_one_the_environment_could_have_given() -> None:
    for row in settings_table():
        if row.default is REQUIRED or row.default is None or row.default in ("", ()):
            continue
        value = row.default
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        assert row.kind.from_text(text) == value, row.name


def test_the_data_directory_is_named_or_follows_the_base_directories(tmp_path: Path) -> None:
    assert data_dir(Settings(), {"XDG_DATA_HOME": "/x"}) == Path("/x/tokenweir")
    named = load(tmp_path, f'[ledger]\ndata = "{tmp_path}/d"')
    assert data_dir(named, {"XDG_DATA_HOME": "/x"}) == tmp_path / "d"


def test_the_page_of_settings_is_the_one_in_the_docs() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text() == settings_markdown(), "write it anew: python -m tokenweir.cli.settings_page"
