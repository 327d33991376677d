"""Whatever is written to the file within the types comes back; whatever is not is a SettingsError."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.cli.kinds import MAX_RATE_PICO
from tokenweir.cli.settings import Settings
from tokenweir.cli.settings_file import load_settings
from tokenweir.core.errors import SettingsError
from tokenweir.core.money import format_per_mtok


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Settings]:
    file = tmp_path_factory.mktemp("settings") / "weir.toml"

    def load(text: str) -> Settings:
        file.write_text(text)
        return load_settings({}, file=file)

    return load


@given(
    port=st.integers(0, 65_535),
    workers=st.integers(1, 256),
    seconds=st.integers(1, 86_400),
    rates=st.tuples(st.integers(0, MAX_RATE_PICO), st.integers(0, MAX_RATE_PICO)),
)
def test_numbers_come_back_exactly(
    read: Callable[[str], Settings], port: int, workers: int, seconds: int, rates: tuple[int, int]
) -> None:
    settings = read(
        f"[server]\nport = {port}\nworkers = {workers}\nidle_timeout_s = {seconds}\n"
        f'[[model]]\nname = "m"\ndeployments = ["u/m"]\n'
        f"price = {{ input = {format_per_mtok(rates[0])}, output = {format_per_mtok(rates[1])}, "
        'currency = "USD" }'
    )
    assert (settings.server.port, settings.server.workers) == (port, workers)
    assert settings.limits.idle_timeout_s == seconds
    price = settings.models[0].price
    assert price is not None
    assert (price.input, price.output) == rates


VALUES = st.one_of(
    st.integers(-(2**40), 2**40).map(str),
    st.booleans().map(lambda b: str(b).lower()),
    st.floats(allow_nan=True).map(str),
    st.sampled_from(['"text"', '["a"]', "[1]", "{}", '{a = "b"}', "2026-01-01", "''"]),
)
NAMES = st.sampled_from(
    [
        "port",
        "host",
        "workers",
        "cors_origins",
        "name",
        "kind",
        "url",
        "api_key",
        "headers",
        "price",
        "x",
        "models",
    ]
)
SECTIONS = st.sampled_from(["[server]", "[ledger]", "[local]", "[[upstream]]", "[[model]]", "[other]"])


@given(st.lists(st.tuples(SECTIONS, NAMES, VALUES), max_size=6))
def test_any_file_is_settings_or_a_settings_error(
    read: Callable[[str], Settings], lines: list[tuple[str, str, str]]
) -> None:
    text = "\n".join(f"{section}\n{name} = {value}" for section, name, value in lines)
    try:
        settings = read(text)
    except SettingsError as error:
        assert str(error)
    else:
        assert isinstance(settings, Settings)
