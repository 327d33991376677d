"""What `weir up` prints first."""

import io
import shlex
from pathlib import Path

from tokenweir.cli.greeting import greet
from tokenweir.cli.offers import Resolved, Source
from tokenweir.gateway.config import GatewayConfig, ModelConfig
from tokenweir.ledger.new_key import make_key

MODELS = (ModelConfig(name="kimi-k2", deployments=()), ModelConfig(name="abacus", deployments=()))
SOURCES = (Source(upstream="local", address="http://127.0.0.1:9", models=1, why="started by weir"),)


def printed(models: tuple[ModelConfig, ...] = MODELS, key: str = "") -> str:
    config = GatewayConfig(upstreams=(), deployments=(), models=models)
    sources = SOURCES if models else ()
    out = io.StringIO()
    greet(
        Resolved(config=config, sources=sources, notes=("mind this",)),
        address="http://127.0.0.1:8787",
        directory=Path("/data"),
        key=key,
        file="",
        out=out,
    )
    return out.getvalue()


def test_the_first_start_shows_the_key_and_examples_that_are_whole() -> None:
    text = printed(key="sk-weir-x")
    curl = text[text.index("curl ") : text.index("\n\nfrom openai")]
    words = shlex.split(curl.replace("\\\n", " "))
    assert words[1] == "http://127.0.0.1:8787/v1/chat/completions"
    assert "Authorization: Bearer sk-weir-x" in words
    assert '"model": "abacus"' in words[-1]
    compile(text[text.index("from openai") :], "snippet", "exec")
    assert "\x1b" not in text


def test_a_later_start_shows_no_key() -> None:
    text = printed()
    assert "sk-weir" not in text
    assert "curl" not in text
    assert "models    2" in text
    assert "note      mind this" in text


def test_nothing_to_serve_says_what_to_do() -> None:
    assert "set a provider's key" in printed(models=(), key="sk-weir-x")


def test_a_key_is_made_of_its_random_bytes_and_only_its_hash_is_kept() -> None:
    record, secret = make_key("n", "a", now_us=5, random_bytes=lambda n: bytes(range(n)))
    other, second = make_key("n", "a", now_us=5, random_bytes=lambda n: bytes(n))
    assert secret.startswith("sk-weir-")
    assert len(secret) == 56
    assert secret != second
    assert record.id != other.id
    assert secret not in repr(record)
    assert record.hint == secret[:12]
