"""Kinds of upstream that are no provider of the catalog: where they usually listen and what they accept."""

import msgspec


class UpstreamKind(msgspec.Struct, frozen=True):
    """A kind of `[[upstream]]`."""

    name: str
    title: str
    url: str = ""  # where it usually is; empty: `url` is required
    local: bool = False  # an inference engine that usually runs on this machine, with no charge per token
    ask_usage: bool = True  # accepts stream_options.include_usage
    key_variable: str = ""  # where its key is looked for when `api_key` is not set


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
        UpstreamKind("vllm", "vLLM", "http://127.0.0.1:8000/v1", local=True),
        UpstreamKind("sglang", "SGLang", "http://127.0.0.1:30000/v1", local=True),
        UpstreamKind("llamacpp", "llama.cpp's server", "http://127.0.0.1:8080/v1", local=True),
        UpstreamKind("lmdeploy", "LMDeploy", "http://127.0.0.1:23333/v1", local=True),
        UpstreamKind("mindie", "MindIE", "http://127.0.0.1:1025/v1", local=True, ask_usage=False),
        UpstreamKind("ollama", "Ollama", "http://127.0.0.1:11434/v1", local=True),
        UpstreamKind("lmstudio", "LM Studio", "http://127.0.0.1:1234/v1", local=True),
        UpstreamKind("xinference", "Xinference", "http://127.0.0.1:9997/v1", local=True),
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
