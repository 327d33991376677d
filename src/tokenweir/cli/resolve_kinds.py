"""Kinds of upstream that are no provider of the catalog: where they usually listen and what they accept."""

import msgspec

from tokenweir.engines.discovery import USUAL


class UpstreamKind(msgspec.Struct, frozen=True):
    """A kind of `[[upstream]]`."""

    name: str
    title: str
    url: str = ""  # where it usually is; empty: `url` is required
    local: bool = False  # an inference engine that usually runs on this machine, with no charge per token
    ask_usage: bool = True  # accepts stream_options.include_usage
    key_variable: str = ""  # where its key is looked for when `api_key` is not set


_PORTS = {usual.kind: usual.port for usual in USUAL}


def _engine(name: str, title: str, *, ask_usage: bool = True) -> UpstreamKind:
    return UpstreamKind(name, title, f"http://127.0.0.1:{_PORTS[name]}/v1", local=True, ask_usage=ask_usage)


KINDS: dict[str, UpstreamKind] = {
    kind.name: kind
    for kind in (
        UpstreamKind("openai", "any OpenAI-compatible address; OpenAI's own without `url`"),
        UpstreamKind(
            "anthropic",
            "Anthropic, by its OpenAI-compatible address",
            "https://api.anthropic.com/v1",
            key_variable="ANTHROPIC_API_KEY",
        ),
        _engine("vllm", "vLLM"),
        _engine("sglang", "SGLang"),
        _engine("llamacpp", "llama.cpp's server"),
        _engine("lmdeploy", "LMDeploy"),
        _engine("mindie", "MindIE", ask_usage=False),
        _engine("ollama", "Ollama"),
        _engine("lmstudio", "LM Studio"),
        _engine("xinference", "Xinference"),
    )
}


def kinds_markdown() -> str:
    """The section of the settings' page."""
    lines = [
        "## Kinds of upstream\n",
        "A provider of the catalog by its id (`weir models --providers` lists them), or one of these:\n",
        "| kind | what it is | usual address |",
        "|---|---|---|",
    ]
    lines += [f"| `{k.name}` | {k.title} | {f'`{k.url}`' if k.url else '–'} |" for k in KINDS.values()]
    return "\n".join(lines) + "\n"
