"""Settings, environment, catalog and engines become what is served."""

from pathlib import Path

import pytest

from tokenweir.catalog.price import Bracket, Price, Rates
from tokenweir.cli.offers import Engine, KnownProvider, Offer, Resolved
from tokenweir.cli.proxy import proxy_for
from tokenweir.cli.resolve import resolve
from tokenweir.cli.resolve_upstreams import LOCAL_PRICE_REF
from tokenweir.cli.settings_file import load_settings
from tokenweir.core.errors import SettingsError
from tokenweir.gateway.config import DeploymentConfig


def price(rate: int, currency: str = "CNY") -> Price:
    return Price(ref="book", currency=currency, brackets=(Bracket(0, Rates(input=rate, output=rate)),))


class SmallBook:
    """Three providers, two of which share a variable."""

    note = ""

    def providers(self) -> tuple[KnownProvider, ...]:
        return (
            KnownProvider(
                id="moonshotai-cn", url="https://api.moonshot.cn/v1", key_variables=("MOONSHOT_API_KEY",)
            ),
            KnownProvider(
                id="moonshotai", url="https://api.moonshot.ai/v1", key_variables=("MOONSHOT_API_KEY",)
            ),
            KnownProvider(id="deepseek", url="https://api.deepseek.com", key_variables=("DEEPSEEK_API_KEY",)),
            KnownProvider(id="openai", url="https://api.openai.com/v1", key_variables=("OPENAI_API_KEY",)),
        )

    def offers(self, provider: str) -> tuple[Offer, ...]:
        return {
            "moonshotai-cn": (
                Offer(model="kimi-k2", prices=(price(4),), context=262_144, max_output=32_768),
            ),
            "moonshotai": (Offer(model="kimi-k2", prices=(price(6, "USD"),)),),
            "deepseek": (Offer(model="deepseek-chat", prices=(price(2),)), Offer(model="kimi-k2")),
            "openai": (Offer(model="gpt-x", prices=(price(9, "USD"),)),),
        }[provider]


BOOK = SmallBook()
VLLM = Engine(kind="vllm", url="http://127.0.0.1:8000/v1", offers=(Offer(model="qwen3"),))
OURS = Engine(kind="llamacpp", url="http://127.0.0.1:9999/v1", offers=(Offer(model="abacus"),), ours=True)


def serve(tmp_path: Path, text: str, environ: dict[str, str] | None = None, *engines: Engine) -> Resolved:
    file = tmp_path / "weir.toml"
    file.write_text(text)
    return resolve(load_settings({}, file=file), environ or {}, BOOK, engines)


def deployment(resolved: Resolved, name: str) -> DeploymentConfig:
    return next(d for d in resolved.config.deployments if d.name == name)


def test_with_no_file_keys_engines_and_our_own_engine_are_served(tmp_path: Path) -> None:
    keys = {"MOONSHOT_API_KEY": "sk-m", "DEEPSEEK_API_KEY": "sk-d"}
    resolved = serve(tmp_path, "", keys, OURS, VLLM)
    assert [(s.upstream, s.why) for s in resolved.sources] == [
        ("vllm", "found on this machine"),
        ("moonshotai-cn", "MOONSHOT_API_KEY is set"),
        ("deepseek", "DEEPSEEK_API_KEY is set"),
        ("local", "started by weir"),
    ]
    models = {m.name: m.deployments for m in resolved.config.models}
    assert models["kimi-k2"] == ("moonshotai-cn/kimi-k2", "deepseek/kimi-k2")
    assert models["abacus"] == ("local/abacus",)
    moonshot = next(u for u in resolved.config.upstreams if u.name == "moonshotai-cn")
    assert moonshot.headers == (("authorization", "Bearer sk-m"),)
    assert (moonshot.scheme, moonshot.host, moonshot.port, moonshot.path) == (
        "https",
        "api.moonshot.cn",
        443,
        "/v1",
    )
    assert deployment(resolved, "moonshotai-cn/kimi-k2").max_output == 32_768


def test_our_own_engine_is_free_and_other_engines_are_unpriced(tmp_path: Path) -> None:
    resolved = serve(tmp_path, "", {}, OURS, VLLM)
    assert deployment(resolved, "local/abacus").prices[0].ref == LOCAL_PRICE_REF
    assert deployment(resolved, "vllm/qwen3").prices == ()


def test_several_models_of_our_own_have_an_upstream_each(tmp_path: Path) -> None:
    second = Engine(
        kind="llamacpp",
        url="http://localhost/v1",
        offers=(Offer(model="qwen"),),
        ours=True,
        unix_socket="/d/local-qwen.sock",
        api_key="hidden",
    )
    resolved = serve(tmp_path, "", {}, OURS, second)
    assert [s.upstream for s in resolved.sources] == ["local", "local-2"]
    assert resolved.sources[1].address == "/d/local-qwen.sock"
    assert resolved.config.upstreams[1].headers == (("authorization", "Bearer hidden"),)
    assert "hidden" not in repr(second)


def test_two_engines_of_a_kind_get_two_names(tmp_path: Path) -> None:
    second = Engine(kind="vllm", url="http://127.0.0.1:8001/v1", offers=(Offer(model="glm"),))
    assert [u.name for u in serve(tmp_path, "", {}, VLLM, second).config.upstreams] == ["vllm", "vllm-2"]


KIMI = """
[[upstream]]
name = "kimi"
kind = "openai"
url = "http://127.0.0.1:9001/v1"
api_key = "env:MOONSHOT_API_KEY"
"""
K2 = """
[[model]]
name = "kimi-k2"
deployments = ["kimi/kimi-k2-0905-preview"]
price = { input = 4.0, cache_read = 1.0, output = 16.0, currency = "CNY" }
"""


def test_a_file_with_upstreams_is_the_whole_list(tmp_path: Path) -> None:
    keys = {"MOONSHOT_API_KEY": "sk-m", "DEEPSEEK_API_KEY": "sk-d"}
    resolved = serve(tmp_path, KIMI + K2, keys, VLLM, OURS)
    assert [s.upstream for s in resolved.sources] == ["kimi", "local"]
    assert {m.name for m in resolved.config.models} == {"kimi-k2", "abacus"}
    rates = deployment(resolved, "kimi/kimi-k2-0905-preview").prices[0].brackets[0].rates
    assert rates == Rates(input=4_000_000, output=16_000_000, cache_read=1_000_000)


def test_a_model_without_a_price_has_the_catalogs(tmp_path: Path) -> None:
    text = (
        '[[upstream]]\nname = "m"\nkind = "moonshotai-cn"\n[[model]]\nname = "k"\ndeployments = ["m/kimi-k2"]'
    )
    resolved = serve(tmp_path, text, {"MOONSHOT_API_KEY": "sk-m"})
    assert deployment(resolved, "m/kimi-k2").prices == (price(4),)
    assert {m.name for m in resolved.config.models} == {"k", "kimi-k2"}


def test_an_address_that_the_catalog_knows_has_its_models(tmp_path: Path) -> None:
    text = '[[upstream]]\nname = "d"\nurl = "https://api.deepseek.com/"\napi_key = "env:K"'
    resolved = serve(tmp_path, text, {"K": "sk"})
    assert deployment(resolved, "d/deepseek-chat").prices == (price(2),)


def test_openai_without_an_address_is_openais_own(tmp_path: Path) -> None:
    resolved = serve(tmp_path, '[[upstream]]\nname = "o"', {"OPENAI_API_KEY": "sk"})
    assert resolved.config.upstreams[0].host == "api.openai.com"


def test_a_configured_engine_has_the_models_found_at_its_address(tmp_path: Path) -> None:
    resolved = serve(tmp_path, '[[upstream]]\nname = "v"\nkind = "vllm"', {}, VLLM)
    assert resolved.config.upstreams[0].port == 8000
    assert {m.name for m in resolved.config.models} == {"qwen3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (KIMI, "upstream 'kimi': the environment variable MOONSHOT_API_KEY is not set"),
        ('[[upstream]]\nname = "a"\nkind = "vlm"', "there is no kind 'vlm'; did you mean 'vllm'?"),
        ('[[upstream]]\nname = "a"\nkind = "deepseek"', "needs a key: set DEEPSEEK_API_KEY"),
        ('[[upstream]]\nname = "a/b"\nkind = "vllm"', "cannot have a slash"),
        (
            '[[upstream]]\nname = "vone"\nkind = "vllm"\n[[model]]\nname = "m"\ndeployments = ["vonne/x"]',
            "names the upstream 'vonne', which there is not; did you mean 'vone'?",
        ),
        ('[[model]]\nname = "m"\ndeployments = ["x"]', "must be written upstream/model"),
        ('[[model]]\nname = "m"\ndeployments = []', "deployments is empty"),
        (
            '[[upstream]]\nname = "v"\nkind = "vllm"\n[[model]]\nname = "m"\ndeployments = ["v/x"]\n'
            '[[model]]\nname = "n"\naliases = ["m"]\ndeployments = ["v/y"]',
            "the name 'm' is given to 'm' and to 'n'",
        ),
        (
            '[[upstream]]\nname = "v"\nkind = "vllm"\n'
            '[[model]]\nname = "m"\ndeployments = ["v/x"]\nprice = {input = 1, output = 1, currency="CNY"}\n'
            '[[model]]\nname = "n"\ndeployments = ["v/x"]\nprice = {input = 2, output = 2, currency = "CNY"}',
            "'v/x' has two prices",
        ),
    ],
)
def test_what_cannot_be_served_says_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        serve(tmp_path, text)
    assert message in str(raised.value)


def test_a_proxy_is_taken_from_the_environment_but_not_for_this_machine() -> None:
    environ = {"HTTPS_PROXY": "http://u:p%40@proxy:3128", "NO_PROXY": "internal.example, .cn"}
    assert proxy_for("https", "api.example", None, environ) == ("proxy", 3128, "Basic dTpwQA==")
    assert proxy_for("https", "a.internal.example", None, environ) is None
    assert proxy_for("https", "api.moonshot.cn", None, environ) is None
    assert proxy_for("https", "127.0.0.1", None, environ) is None
    assert proxy_for("https", "api.example", "", environ) is None
    with pytest.raises(SettingsError) as raised:
        proxy_for("https", "api.example", "socks5://u:hidden@h:1", {})
    assert "hidden" not in str(raised.value)
