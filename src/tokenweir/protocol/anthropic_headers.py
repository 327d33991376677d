"""Which headers of Anthropic's own go upstream, host by host.

A client announces in `anthropic-beta` what it would like to use. Hosts other than Anthropic answer some of these with
400 (QuantumNous/new-api#3041, anthropics/claude-code#70563), so that each host gets those that it is known to read.
"""

import msgspec


class HeaderPolicy(msgspec.Struct, frozen=True):
    """What one host takes. `betas` are beginnings of flags, so that a later date of the same beta is one of them."""

    version: bool = True  # `anthropic-version`
    betas: tuple[str, ...] = ()
    all_betas: bool = False


class UpstreamHeaders(msgspec.Struct, frozen=True):
    """Header lines for the upstream, and what was kept back ("anthropic-beta: context-1m-2025-08-07")."""

    lines: tuple[tuple[bytes, bytes], ...]
    dropped: tuple[str, ...] = ()


#: Of whatever host nobody has tried yet. What is known of the others stands in the catalog (`betas`).
STRICTEST = HeaderPolicy()

#: What Anthropic's SDKs send, and the only version there is.
VERSION = b"2023-06-01"


def upstream_headers(policy: HeaderPolicy, client: list[tuple[bytes, bytes]]) -> UpstreamHeaders:
    """From a client's headers (names in lower case) those that the upstream gets.

    A client of another dialect sends no version; the dialect asks for one.
    """
    version = VERSION
    kept: list[str] = []
    dropped: list[str] = []
    for name, value in client:
        if name == b"anthropic-version":
            version = value
        elif name == b"anthropic-beta":
            for flag in filter(None, (word.strip() for word in value.decode("latin-1").split(","))):
                (kept if policy.all_betas or flag.startswith(policy.betas) else dropped).append(flag)
    lines = [(b"anthropic-version", version)] if policy.version else []
    if kept:
        lines.append((b"anthropic-beta", ",".join(dict.fromkeys(kept)).encode("latin-1")))
    return UpstreamHeaders(tuple(lines), tuple(f"anthropic-beta: {flag}" for flag in dict.fromkeys(dropped)))
