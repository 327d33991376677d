"""Every setting, defined once: its type, default, help, unit, environment variable and flag.

The structs below are the one place; settings_table turns them into rows, from which the file's reader, the
environment, the help texts and `docs/settings.md` are derived.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from tokenweir.catalog.dialects import SpokenDialect
from tokenweir.cli import kinds
from tokenweir.cli.kinds import Kind, PriceSetting
from tokenweir.cli.secrets import Secret
from tokenweir.gateway.config import Limits

FILE_NAME = "weir.toml"
FILE_VARIABLE = "WEIR_CONFIG"


class About(msgspec.Struct, frozen=True):
    """What is said of a setting beside its name, type and default."""

    kind: Kind
    help: str
    unit: str = ""
    env: str = ""
    flag: str = ""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """`[server]`: the address, the processes and what they take on."""

    host: Annotated[
        str, About(kinds.TEXT, "Address to listen on; `0.0.0.0` for every one.", "", "WEIR_HOST", "--host")
    ] = "127.0.0.1"
    port: Annotated[
        int,
        About(kinds.integer(0, 65_535), "Port to listen on; 0 for any free one.", "", "WEIR_PORT", "--port"),
    ] = 8787
    workers: Annotated[
        int,
        About(
            kinds.integer(1, 256),
            "Processes that carry calls; one fills one processor core.",
            "processes",
            "WEIR_WORKERS",
            "--workers",
        ),
    ] = 1
    cors_origins: Annotated[
        tuple[str, ...],
        About(
            kinds.TEXT_LIST,
            'Origins of web pages that may call; `["*"]` for every one.',
            "",
            "WEIR_CORS_ORIGINS",
        ),
    ] = ()
    metrics_need_key: Annotated[
        bool,
        About(kinds.BOOLEAN, "Whether `/metrics` asks for a key.", "", "WEIR_METRICS_NEED_KEY"),
    ] = True
    strict: Annotated[
        bool,
        About(
            kinds.BOOLEAN,
            "Whether a call is refused when its upstream cannot be told all of it; else what is left out is named.",
            "",
            "WEIR_STRICT",
        ),
    ] = False
    keep_responses: Annotated[
        bool,
        About(
            kinds.BOOLEAN,
            "Whether responses are kept beside the ledger, for `previous_response_id`.",
            "",
            "WEIR_KEEP_RESPONSES",
        ),
    ] = False
    kept_responses_max_bytes: Annotated[
        int, About(kinds.integer(1 << 20, 1 << 40), "Most that is kept of responses.", "bytes")
    ] = 1 << 30
    kept_responses_max_age_s: Annotated[
        int,
        About(
            kinds.integer(60, 315_360_000),
            "How long after it was last gone on with a conversation is kept.",
            "seconds",
        ),
    ] = 2_592_000


#: What `[server]` says of gateway.config.Limits, whose fields give names and defaults.
LIMITS: dict[str, tuple[Kind, str, str]] = {
    "max_header_bytes": (kinds.integer(1_024, 1 << 20), "Longest head of a request.", "bytes"),
    "max_headers": (kinds.integer(8, 10_000), "Most headers of a request.", "headers"),
    "max_target_bytes": (kinds.integer(256, 1 << 20), "Longest path and query of a request.", "bytes"),
    "max_body_bytes": (kinds.integer(1_024, 1 << 30), "Longest body of a request.", "bytes"),
    "max_connections": (
        kinds.integer(1, 1_000_000),
        "Open connections of clients, per worker.",
        "connections",
    ),
    "max_in_flight": (kinds.integer(1, 1_000_000), "Calls under way, per worker; then 503.", "calls"),
    "header_timeout_s": (kinds.seconds(), "Time for the head of a request to arrive.", "seconds"),
    "body_timeout_s": (kinds.seconds(), "Time for the body of a request to arrive.", "seconds"),
    "idle_timeout_s": (kinds.seconds(), "Time after which an unused connection is closed.", "seconds"),
    "drain_timeout_s": (kinds.seconds(), "Time that streams have to finish when stopped.", "seconds"),
    "pipeline_depth": (kinds.integer(1, 1_024), "Requests that may wait on one connection.", "requests"),
    "default_max_output": (
        kinds.integer(1, 10_000_000),
        "Output set aside where neither the client nor the catalog names a maximum.",
        "tokens",
    ),
    "checkpoint_every_s": (kinds.seconds(), "Time between notes of how far a stream has come.", "seconds"),
}


class LedgerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[ledger]`: where it lies and how sure it is."""

    data: Annotated[
        str,
        About(
            kinds.TEXT,
            "Directory of the ledger. Empty: `$XDG_DATA_HOME/tokenweir`, or `~/.local/share/tokenweir`.",
            "",
            "WEIR_DATA",
            "--data",
        ),
    ] = ""
    durability: Annotated[
        str,
        About(
            kinds.choice("fsync", "os"),
            "`fsync` survives a power cut; `os` survives a crash of the program but not of the machine.",
            "",
            "WEIR_DURABILITY",
        ),
    ] = "fsync"


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[local]`: models that run on this machine."""

    enabled: Annotated[
        bool, About(kinds.BOOLEAN, "Whether the local engine is started.", "", "WEIR_LOCAL")
    ] = True
    models: Annotated[
        tuple[str, ...],
        About(
            kinds.TEXT_LIST,
            "GGUF files besides `abacus`: a path, `hf:OWNER/REPO/FILE` or `modelscope:OWNER/REPO/FILE`.",
            "",
            "WEIR_LOCAL_MODELS",
        ),
    ] = ()
    threads: Annotated[
        int,
        About(
            kinds.integer(0, 1_024),
            "Threads that compute; 0 for as many as there are cores, or one where the model is small.",
            "threads",
            "WEIR_LOCAL_THREADS",
        ),
    ] = 0
    context: Annotated[
        int,
        About(
            kinds.integer(0, 10_000_000),
            "Context window of a model; 0 for the model's own.",
            "tokens",
            "WEIR_LOCAL_CONTEXT",
        ),
    ] = 0
    parallel: Annotated[
        int,
        About(kinds.integer(1, 256), "Calls a model answers at once.", "calls", "WEIR_LOCAL_PARALLEL"),
    ] = 4


class PricesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[prices]`: where `weir prices update` gets them."""

    url: Annotated[
        str,
        About(
            kinds.URL,
            "Where `weir prices update` gets prices: models.dev's JSON, or a mirror of it.",
            "",
            "WEIR_PRICES_URL",
        ),
    ] = "https://models.dev/api.json"


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[console]`: pages for people, at `/console`."""

    enabled: Annotated[bool, About(kinds.BOOLEAN, "Whether the console is served.", "", "WEIR_CONSOLE")] = (
        True
    )
    trusted_proxies: Annotated[
        tuple[str, ...],
        About(
            kinds.NETWORKS,
            "Addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.",
            "",
            "WEIR_CONSOLE_TRUSTED_PROXIES",
        ),
    ] = ("127.0.0.1", "::1")
    idle_s: Annotated[
        int,
        About(
            kinds.integer(60, 31_536_000),
            "Time without a page after which somebody is signed out.",
            "seconds",
        ),
    ] = 28_800
    session_s: Annotated[
        int,
        About(
            kinds.integer(60, 31_536_000), "Time after which somebody is signed out in any case.", "seconds"
        ),
    ] = 604_800


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[[upstream]]`: a provider or an engine."""

    name: Annotated[str, About(kinds.TEXT, "Its name, as deployments and the ledger call it.")]
    kind: Annotated[
        str,
        About(
            kinds.TEXT,
            "A provider of the catalog (`moonshotai-cn`), or `openai`, `vllm`, `llamacpp` … (see below).",
        ),
    ] = "openai"
    url: Annotated[str, About(kinds.URL, "Its address, with the path in front of `/chat/completions`.")] = ""
    api_key: Annotated[
        Secret | None,
        About(
            kinds.SECRET,
            "Its key: `env:NAME` or `file:PATH`. Empty: the environment variable that the catalog names.",
        ),
    ] = None
    headers: Annotated[
        tuple[tuple[str, Secret], ...],
        About(kinds.SECRET_TABLE, "Further headers of every request to it; values like `api_key`."),
    ] = ()
    dialects: Annotated[
        tuple[str, ...],
        About(
            kinds.words("chat", "messages", "responses"),
            "Those that it speaks. Empty: what is known of its kind, and those with a table below.",
        ),
    ] = ()
    chat: Annotated[
        SpokenDialect | None,
        About(
            kinds.DIALECT,
            "How its Chat Completions differ from OpenAI's, as `[upstream.chat]` ([protocols](protocols.md)).",
        ),
    ] = None
    messages: Annotated[
        SpokenDialect | None,
        About(kinds.DIALECT, "How its Messages differ from Anthropic's, as `[upstream.messages]`."),
    ] = None
    responses: Annotated[
        SpokenDialect | None,
        About(kinds.DIALECT, "How its Responses differ from OpenAI's, as `[upstream.responses]`."),
    ] = None
    proxy: Annotated[
        str | None,
        About(
            kinds.TEXT,
            'HTTP proxy to reach it by; "" for none. Unset: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.',
        ),
    ] = None
    ca_file: Annotated[
        str, About(kinds.TEXT, "Certificates (PEM) of authorities trusted besides the public ones.")
    ] = ""
    verify_tls: Annotated[
        bool, About(kinds.BOOLEAN, "Whether its certificate is checked. Turn off only on a network you own.")
    ] = True
    connect_timeout_s: Annotated[float, About(kinds.seconds(), "Time to connect.", "seconds")] = 10.0
    first_byte_timeout_s: Annotated[
        float, About(kinds.seconds(), "Time to the first byte of an answer.", "seconds")
    ] = 300.0
    between_bytes_timeout_s: Annotated[
        float, About(kinds.seconds(), "Time between two bytes of an answer.", "seconds")
    ] = 120.0
    max_connections: Annotated[
        int, About(kinds.integer(1, 65_536), "Connections to it, per worker.", "connections")
    ] = 1024


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[[model]]`: a public name and what serves it."""

    name: Annotated[str, About(kinds.TEXT, "The name clients ask for.")]
    deployments: Annotated[
        tuple[str, ...],
        About(kinds.TEXT_LIST, "`upstream/model`, tried in order."),
    ]
    aliases: Annotated[tuple[str, ...], About(kinds.TEXT_LIST, "Further names for it.")] = ()
    price: Annotated[
        PriceSetting | None,
        About(
            kinds.PRICE,
            "`{ input, output, currency }` and optionally `cache_read`, `cache_write_5m`, `cache_write_1h`, "
            "`reasoning`. Unset: the catalog's price.",
            "currency units per million tokens",
        ),
    ] = None
    max_output: Annotated[
        int | None,
        About(kinds.integer(1, 10_000_000), "Longest answer. Unset: as the catalog says.", "tokens"),
    ] = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was set, checked; secrets are named and not yet looked up."""

    server: Server = Server()
    limits: Limits = Limits()
    ledger: LedgerSettings = LedgerSettings()
    local: LocalSettings = LocalSettings()
    prices: PricesSettings = PricesSettings()
    console: ConsoleSettings = ConsoleSettings()
    upstreams: tuple[UpstreamSettings, ...] = ()
    models: tuple[ModelSettings, ...] = ()
    file: str = ""  # empty: there is none
    warnings: tuple[str, ...] = ()
    sources: dict[
        str, str
    ] = {}  # "section.name" -> "file", or the variable or flag that set it; else the default


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where the ledger lies when nothing is set (XDG base directories)."""
    base = environ.get("XDG_DATA_HOME", "")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "share"
    return root / "tokenweir"


def data_dir(settings: Settings, environ: Mapping[str, str] = os.environ) -> Path:
    """The ledger's directory, as an absolute path."""
    named = settings.ledger.data
    return Path(named).expanduser().absolute() if named else default_data_dir(environ)
