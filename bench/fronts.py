"""The rows of the table: what is measured, and how each is configured. One upstream that speaks OpenAI's protocol stands behind
each, and otherwise each is as its own documents start it, on one core.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.install import PORTKEY, PYTHON
from bench.servers import Peer, Server, free_port, nginx, spawn

CORE = frozenset({0})


def start_nginx(directory: Path, upstream: int) -> Server:
    """The floor: `proxy_pass` with kept connections."""
    return _nginx(directory, upstream, "on")


def start_unbuffered(directory: Path, upstream: int) -> Server:
    """The floor for streams: every chunk is passed on as it comes."""
    return _nginx(directory, upstream, "off")


def _nginx(directory: Path, upstream: int, buffering: str) -> Server:
    port = free_port()
    block = (
        f"  upstream behind {{ server 127.0.0.1:{upstream}; keepalive 4096; keepalive_requests 1000000000; }}\n"
        f"  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{"
        f' proxy_http_version 1.1; proxy_set_header connection ""; proxy_buffering {buffering};'
        " proxy_pass http://behind; } }\n"
    )
    return Server(spawn(nginx(directory, block), CORE, directory / "log"), port)


WEIR = (sys.executable, "-m", "tokenweir.cli.main")


def weir(
    durability: str, workers: int = 1, cores: frozenset[int] = CORE, command: Sequence[str] = WEIR
) -> Callable[[Path, int], Server]:
    """`weir up` with a key under a limit in money and a priced model; each call is opened and settled in the ledger."""

    def start(directory: Path, upstream: int) -> Server:
        port, data, config = free_port(), directory / "data", directory / "weir.toml"
        config.write_text(
            f'[server]\nport = {port}\nworkers = {workers}\n[ledger]\ndata = "{data}"\ndurability = "{durability}"\n'
            "[local]\nenabled = false\n"
            '[[upstream]]\nname = "up"\nkind = "openai"\nmax_connections = 4096\n'
            f'url = "http://127.0.0.1:{upstream}/v1"\n'
            '[[model]]\nname = "bench"\ndeployments = ["up/bench"]\n'
            'price = { input = 4.0, cache_read = 1.0, output = 16.0, currency = "CNY" }\n'
        )
        made = [
            *command,
            "keys",
            "create",
            "--name",
            "bench",
            "--limit",
            "¥9000000/day",
            "--json",
            "--data",
            str(data),
        ]
        key = json.loads(subprocess.run(made, check=True, capture_output=True).stdout)
        process = spawn([*command, "up", "--config", str(config)], cores, directory / "log")
        return Server(process, port, key["key"])

    return start


def start_sglang(directory: Path, upstream: int) -> Server:
    """One worker URL."""
    return _router([str(PYTHON / "sglang-router"), "launch", "--log-level", "warn"], directory, upstream)


def start_vllm(directory: Path, upstream: int) -> Server:
    """One worker URL."""
    return _router([str(PYTHON / "vllm-router"), "--log-level", "warning"], directory, upstream)


def _router(command: list[str], directory: Path, upstream: int) -> Server:
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(free_port())]
    options += [
        "--policy",
        "round_robin",
        "--worker-urls",
        f"http://127.0.0.1:{upstream}",
    ]
    return Server(spawn([*command, *options], CORE, directory / "log"), port)


def start_portkey(directory: Path, upstream: int) -> Server:
    """The upstream is named in each call's headers."""
    port = free_port()
    headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1")
    command = ["node", str(PORTKEY), f"--port={port}", "--headless"]
    return Server(spawn(command, CORE, directory / "log", {"NODE_ENV": "production"}), port, "none", headers)


def start_litellm(directory: Path, upstream: int) -> Server:
    """One model in its configuration file. The list of prices comes from the package: a start is not to wait for a download."""
    port, config, key = free_port(), directory / "config.yaml", "sk-bench"
    config.write_text(
        "model_list:\n- model_name: bench\n  litellm_params:\n    model: openai/bench\n    api_key: none\n"
        f"    api_base: http://127.0.0.1:{upstream}/v1\ngeneral_settings:\n  master_key: {key}\n"
    )
    command = [str(PYTHON / "litellm"), "--host", "127.0.0.1", "--port", str(port), "--config", str(config)]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    return Server(spawn([*command, "--num_workers", "1"], CORE, directory / "log", environment), port, key)


PEERS = (
    Peer(
        "nginx", "nginx", "one worker, `proxy_pass` with kept connections, `proxy_buffering on`", start_nginx
    ),
    Peer("nginx, unbuffered", "nginx", "the same with `proxy_buffering off`", start_unbuffered),
    Peer("weir, ledger fsync", "", "one worker, a key with a limit in money, a priced model", weir("fsync")),
    Peer("weir, ledger os", "", 'the same with `durability = "os"`', weir("os")),
    Peer("sglang-router", "python", "`--policy round_robin --log-level warn`, one worker URL", start_sglang),
    Peer("vllm-router", "python", "`--policy round_robin --log-level warning`, one worker URL", start_vllm),
    Peer(
        "Portkey",
        "node",
        "`NODE_ENV=production`, `--headless`, provider and host in the headers",
        start_portkey,
    ),
    Peer(
        "LiteLLM proxy",
        "python",
        "`--num_workers 1`, one model, a master key, no database; 20 streams at once where chunks are counted",
        start_litellm,
        most_rounds=1,
        most_streams=20,
    ),
)
