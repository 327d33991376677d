"""A real server on a usual port is found, named, and served without a file."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokenweir.cli.local import Local
from tokenweir.cli.offers import KnownProvider, Offer
from tokenweir.cli.resolve import resolve
from tokenweir.cli.resolve_kinds import KINDS
from tokenweir.cli.settings import LocalSettings, Settings, UpstreamSettings
from tokenweir.cli.sources import catalog_book, found_engines, resolve_now
from tokenweir.engines.discovery import USUAL

NO_LOCAL = Settings(local=LocalSettings(enabled=False))


class EmptyBook:
    """A catalog without providers."""

    note = ""

    def providers(self) -> tuple[KnownProvider, ...]:
        return ()

    def offers(self, _provider: str) -> tuple[Offer, ...]:
        return ()


def test_every_kind_that_can_be_found_can_be_configured() -> None:
    for usual in USUAL:
        assert KINDS[usual.kind].url == f"http://127.0.0.1:{usual.port}/v1"


def test_settings_that_name_other_upstreams_ask_no_port() -> None:
    remote = Settings(upstreams=(UpstreamSettings(name="u", url="http://127.0.0.1:1/v1"),))
    assert found_engines(remote) == ()


SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"data": [{"id": "qwen3", "owned_by": "lmdeploy", "max_model_len": 4096}]}'
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("ready", flush=True)
server.serve_forever()
"""


@pytest.fixture
def engine() -> Iterator[None]:
    port = next(usual.port for usual in USUAL if usual.kind == "lmdeploy")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            pytest.skip(f"port {port} is in use")
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    yield
    server.terminate()
    server.wait()
    server.stdout.close()


@pytest.mark.usefixtures("engine")
def test_an_engine_on_its_usual_port_is_served() -> None:
    resolved = resolve_now(NO_LOCAL, {}, Local(), EmptyBook())
    sources = {source.upstream: source for source in resolved.sources}
    assert sources["lmdeploy"].why == "found on this machine"
    deployment = next(d for d in resolved.config.deployments if d.name == "lmdeploy/qwen3")
    assert (deployment.context, deployment.prices) == (4096, ())


@pytest.mark.parametrize(
    ("variable", "upstream", "address"),
    [
        ("MOONSHOT_API_KEY", "moonshotai-cn", "https://api.moonshot.cn/v1"),
        ("KIMI_API_KEY", "moonshotai-cn", "https://api.moonshot.cn/v1"),
        ("DEEPSEEK_API_KEY", "deepseek", "https://api.deepseek.com"),
        ("DASHSCOPE_API_KEY", "alibaba-cn", "https://dashscope.aliyuncs.com/compatible-mode/v1"),
        ("ZHIPU_API_KEY", "zhipuai", "https://open.bigmodel.cn/api/paas/v4"),
        ("MINIMAX_API_KEY", "minimax-cn", "https://api.minimaxi.com/v1"),
        ("STEPFUN_API_KEY", "stepfun", "https://api.stepfun.com/v1"),
        ("SILICONFLOW_API_KEY", "siliconflow", "https://api.siliconflow.com/v1"),
        ("SILICONFLOW_CN_API_KEY", "siliconflow-cn", "https://api.siliconflow.cn/v1"),
        ("OPENROUTER_API_KEY", "openrouter", "https://openrouter.ai/api/v1"),
        ("OPENAI_API_KEY", "openai", "https://api.openai.com/v1"),
        ("ANTHROPIC_API_KEY", "anthropic", "https://api.anthropic.com/v1"),
        ("XIAOMI_API_KEY", "xiaomi", "https://api.xiaomimimo.com/v1"),
    ],
)
def test_a_key_in_the_environment_brings_its_provider_with_models_and_prices(
    tmp_path: Path, variable: str, upstream: str, address: str
) -> None:
    resolved = resolve(Settings(), {variable: "sk-x"}, catalog_book(tmp_path))
    assert [(source.upstream, source.address) for source in resolved.sources] == [(upstream, address)]
    priced = [d for d in resolved.config.deployments if d.prices]
    assert len(priced) >= 0.8 * len(resolved.config.deployments) > 0
    own = ("x-api-key", "sk-x")  # Anthropic's way
    expected = own if upstream == "anthropic" else ("authorization", "Bearer sk-x")
    assert resolved.config.upstreams[0].headers == (expected,)
