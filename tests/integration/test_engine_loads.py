"""What engines say of their load, asked over real connections, and as the console shows it."""

import csv
import io
from pathlib import Path
from urllib.parse import urlsplit

from console_asked import signed_in
from console_fixtures import clock, data
from console_host import Browser, application
from weir_process import free_port, simulated

from tokenweir.cli.engine_loads import engine_loads
from tokenweir.core.clock import FakeClock
from tokenweir.engines.health import EngineLoad
from tokenweir.gateway.config import UpstreamConfig

__all__ = ["clock", "data"]  # fixtures


def _upstream(name: str, kind: str, port: int) -> UpstreamConfig:
    return UpstreamConfig(name=name, kind=kind, scheme="http", host="127.0.0.1", port=port, path="/v1")


def test_engines_tell_their_load_and_who_does_not_answer_is_known() -> None:
    with simulated() as address:
        port = urlsplit(address).port or 0
        found = engine_loads(
            (
                _upstream("busy", "vllm", port),
                _upstream("dead", "sglang", free_port()),
                _upstream("host", "openai", port),
            ),
            within_s=10,
        )
    assert found == {
        "busy": EngineLoad(running=1, waiting=0, cache_used=0.0),
        "dead": None,
    }  # the one that asks


def test_the_page_of_upstreams_shows_it(data: Path, clock: FakeClock) -> None:
    with simulated() as address:
        engines = f'[[upstream]]\nname = "busy"\nkind = "vllm"\nurl = "{address}"\n'
        engines += f'[[upstream]]\nname = "dead"\nkind = "vllm"\nurl = "http://127.0.0.1:{free_port()}/v1"\n'
        models = '[[model]]\nname = "m"\ndeployments = ["busy/ok", "dead/ok"]\n'
        browser = signed_in(Browser(application(data, clock, f"[local]\nenabled = false\n{engines}{models}")))
        rows = {
            r["Upstream"]: r for r in csv.DictReader(io.StringIO(browser.get("/upstreams?format=csv").text))
        }
    assert (rows["busy"]["State"], rows["busy"]["Running there"], rows["busy"]["Waiting there"]) == (
        "serving",
        "1",
        "0",
    )
    assert (rows["dead"]["State"], rows["dead"]["Running there"]) == ("no answer", "")
    assert rows["moonshot"]["State"] == "gone"
