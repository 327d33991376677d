"""One setting of the file changed: nothing else of it moves, what would be wrong is refused, and so is what the file does not set."""

from pathlib import Path

import pytest

from tokenweir.admin.lookups import PreparedSetting
from tokenweir.cli.around import Sources
from tokenweir.cli.settings import Settings
from tokenweir.cli.settings_edit import prepare
from tokenweir.cli.settings_file import load_settings
from tokenweir.cli.settings_table import changeable, text_of, value_of
from tokenweir.core.errors import SettingsError
from tokenweir.ledger.terms import ChangeSetting

FILE = """\
# What our team serves.
[server]
port = 8787   # as agreed with the network people
cors_origins = [
    "https://a.example",  # the portal
]

# ours
[[upstream]]
name = "kimi"
url = "http://127.0.0.1:9001/v1"
api_key = "env:MOONSHOT_API_KEY"

[console]
idle_s = 600
"""


class Edited:
    """A settings' file, and what is asked of it."""

    def __init__(self, directory: Path, text: str = FILE) -> None:
        self.directory, self.file = directory, directory / "weir.toml"
        self.file.write_text(text)
        self.environ: dict[str, str] = {}
        self.flags: dict[str, object] = {}

    def prepare(self, name: str, text: str | None) -> PreparedSetting:
        sources = Sources(self.environ, self.file, self.flags)
        return prepare(sources, lambda _: None, self.directory, name, text)

    def change(self, name: str, text: str | None) -> ChangeSetting:
        prepared = self.prepare(name, text)
        prepared.apply()
        return prepared.change

    def now(self) -> Settings:
        return load_settings({}, file=self.file)


@pytest.fixture
def edited(tmp_path: Path) -> Edited:
    return Edited(tmp_path)


def test_one_value_changes_and_comments_and_order_stay(edited: Edited) -> None:
    made = edited.change("server.port", "9000")
    assert made == ChangeSetting("server.port", "9000", "8787")
    assert edited.file.read_text() == FILE.replace("8787", "9000")
    assert edited.change("server.port", None) == ChangeSetting("server.port", "8787", "9000", by_default=True)
    assert edited.file.read_text() == FILE.replace("port = 8787   # as agreed with the network people\n", "")


def test_a_setting_that_did_not_stand_there_joins_its_section_or_begins_one(edited: Edited) -> None:
    edited.change("server.strict", "yes")
    edited.change("console.session_s", "3_600")
    edited.change("local.models", "hf:a/b/c.gguf, ./d.gguf")
    edited.change("server.idle_timeout_s", "2.5")
    edited.change("console.trusted_proxies", '["10.0.0.0/8", "::1"]')
    text, settings = edited.file.read_text(), edited.now()
    assert settings.server.strict and settings.console.session_s == 3_600
    assert settings.local.models == ("hf:a/b/c.gguf", "./d.gguf")
    assert settings.limits.idle_timeout_s == 2.5
    assert settings.console.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.server.cors_origins == ("https://a.example",) and settings.upstreams[0].name == "kimi"
    assert [line for line in FILE.splitlines() if line and line not in text.splitlines()] == []


def test_a_file_that_is_not_there_yet_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    edited = Edited(tmp_path)
    edited.file.unlink()
    edited.change("server.strict", "true")
    assert edited.file.read_text() == "[server]\nstrict = true\n"
    assert edited.file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [edited.file]


def test_every_setting_can_be_said_as_it_is_shown_and_comes_back_the_same(edited: Edited) -> None:
    settings = edited.now()
    for name, row in changeable().items():
        value = value_of(settings, row)
        if settings.sources.get(name) != "file":
            edited.change(name, text_of(value))
        assert value_of(edited.now(), row) == value, name


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("server.prot", "1", "there is no setting 'server.prot'; did you mean 'server.port'?"),
        ("server.port", "70000", "server.port must be a whole number from 0 to 65,535, not 70,000"),
        ("server.strict", "perhaps", "server.strict must be true or false, not 'perhaps'"),
        ("ledger.durability", "none", "must be one of 'fsync', 'os', not 'none'"),
        ("console.trusted_proxies", "10.0.0.0/99", "which is no address or network"),
        (
            "server.cors_origins",
            '["a", 1]',
            'must be texts with commas between them, or a list such as ["a", "b"]',
        ),
        ("prices.url", "ftp://x", "must be an address that begins with http:// or https://"),
        ("server.port", "8787", "server.port stands so already"),
        ("upstream.api_key", "x", "upstream.api_key stands in a list; it is changed in the file itself"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_written(
    edited: Edited, name: str, text: str, message: str
) -> None:
    with pytest.raises(SettingsError) as told:
        edited.prepare(name, text)
    assert message in str(told.value)
    assert edited.file.read_text() == FILE


def test_what_the_environment_or_a_flag_sets_cannot_be_changed_in_the_file(edited: Edited) -> None:
    edited.environ["WEIR_PORT"] = "1234"
    edited.flags["workers"] = 2
    with pytest.raises(SettingsError, match=r"WEIR_PORT sets server\.port"):
        edited.prepare("server.port", "9000")
    with pytest.raises(SettingsError, match=r"--workers sets server\.workers"):
        edited.prepare("server.workers", "9")
    edited.change("server.strict", "true")  # the environment goes over the file for its own setting alone


def test_a_file_that_cannot_be_served_is_not_written(edited: Edited) -> None:
    def check(settings: Settings) -> None:
        raise SettingsError("MOONSHOT_API_KEY is not set")

    with pytest.raises(SettingsError, match="MOONSHOT_API_KEY"):
        prepare(Sources({}, edited.file), check, edited.directory, "server.port", "9000")
    assert edited.file.read_text() == FILE


def test_of_two_who_change_it_at_once_the_second_is_told(edited: Edited) -> None:
    first, second = edited.prepare("server.port", "9000"), edited.prepare("server.port", "9001")
    first.apply()
    with pytest.raises(SettingsError, match="in the meantime"):
        second.apply()
    assert edited.now().server.port == 9000


def test_a_link_stays_a_link_and_the_mode_of_the_file_stays(edited: Edited, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    edited.file.rename(kept / "weir.toml")
    (kept / "weir.toml").chmod(0o640)
    edited.file.symlink_to(kept / "weir.toml")
    edited.change("server.port", "9000")
    assert edited.file.is_symlink() and "9000" in (kept / "weir.toml").read_text()
    assert (kept / "weir.toml").stat().st_mode & 0o777 == 0o640


def test_where_it_cannot_be_written_nothing_changes(edited: Edited) -> None:
    prepared = edited.prepare("server.port", "9000")
    (edited.directory / "weir.toml.unfinished").mkdir()
    with pytest.raises(
        SettingsError, match=r"weir\.toml cannot be written: Is a directory; change it by hand"
    ):
        prepared.apply()
    assert edited.file.read_text() == FILE


def test_only_what_is_read_at_the_start_waits_for_it(edited: Edited) -> None:
    assert edited.prepare("server.port", "9000").at_start
    assert edited.prepare("console.idle_s", "900").at_start
    assert not edited.prepare("server.strict", "true").at_start
