"""What a worker serves: resolved from settings and catalog before it starts, replaced whole on a reload."""

import msgspec

from tokenweir.catalog.price import Price
from tokenweir.protocol.anthropic_headers import STRICTEST, HeaderPolicy
from tokenweir.protocol.translate.host import Host


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A dialect that an upstream speaks, and where."""

    dialect: str  # of protocol.wires
    path: str  # the whole one: "/v1/chat/completions"
    host: Host = Host()  # how its requests are written, where they are translated
    policy: HeaderPolicy = STRICTEST  # messages: which headers of Anthropic's own it gets


class UpstreamConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A provider or an engine: address and credentials."""

    name: str
    kind: str
    scheme: str  # "http" or "https"
    host: str
    port: int
    path: str  # prefix without a trailing slash: "/v1"
    targets: tuple[Target, ...] = ()  # one for each dialect; the first that a translation can use is used
    unix_socket: str = ""  # instead of host and port
    headers: tuple[tuple[str, str], ...] = ()  # Authorization among them; never logged
    ask_usage: bool = True  # accepts stream_options.include_usage
    proxy: tuple[str, int, str] | None = None  # host, port, Proxy-Authorization value or ""
    verify_tls: bool = True
    ca_file: str = ""  # besides the public authorities
    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 300.0
    between_bytes_timeout_s: float = 120.0
    max_connections: int = 1024
    unpacks: bool = True  # compressed answers are read; else they are handed on as they are
    local: bool = False  # an engine on this machine, found or started by us


class DeploymentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one upstream."""

    name: str  # "upstream/model"
    upstream: str
    model: str  # as the upstream calls it
    prices: tuple[Price, ...] = ()  # sorted by valid_from_us; empty: unpriced
    max_output: int | None = None
    context: int | None = None


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A public name and what may serve it, in order."""

    name: str
    deployments: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    created_s: int = 0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker takes on; every queue, body, header and wait has its bound here."""

    max_header_bytes: int = 64 * 1024
    max_headers: int = 128
    max_target_bytes: int = 8 * 1024
    max_body_bytes: int = 32 * 1024 * 1024
    max_connections: int = 10_000
    max_in_flight: int = 4_096
    header_timeout_s: float = 30.0
    body_timeout_s: float = 120.0
    idle_timeout_s: float = 75.0
    drain_timeout_s: float = 30.0
    pipeline_depth: int = 16
    default_max_output: int = 32_768  # reserved where neither the client nor the catalog names a maximum
    checkpoint_every_s: float = 5.0


class KeepLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many responses are kept, and for how long after a conversation was last gone on with."""

    max_bytes: int = 1024 * 1024 * 1024
    max_age_s: int = 30 * 24 * 3600  # as long as OpenAI keeps them


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one worker needs to serve."""

    upstreams: tuple[UpstreamConfig, ...]
    deployments: tuple[DeploymentConfig, ...]
    models: tuple[ModelConfig, ...]
    limits: Limits = Limits()
    cors_origins: tuple[str, ...] = ()  # exact origins, or "*"
    metrics_need_key: bool = True
    keep: KeepLimits | None = None  # responses, for `previous_response_id`; None: none
    strict: bool = False  # refuse what an upstream's dialect cannot say, rather than drop and name it
