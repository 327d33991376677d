"""How each agent is pointed at the gateway and given a task without a screen: the table of docs/protocols.md, run."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

TASK = "add() in sums.py is wrong: mend it, and run its test."


@dataclass(frozen=True)
class Place:
    """Where an agent works, and the gateway that it is given."""

    base: str  # without a path
    key: str
    model: str
    work: Path


@dataclass(frozen=True)
class Agent:
    """An agent's command line: how it is asked for its version and for a task."""

    name: str
    program: str
    dialect: str
    command: Callable[[Place], list[str]]
    environment: Callable[[Place], Mapping[str, str]]
    prepare: Callable[[Place], None] = lambda _place: None


def _opencode_settings(place: Place) -> None:
    """OpenCode reads its providers from a file."""
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{place.base}/v1", "apiKey": place.key},
        "models": {place.model: {}},
    }
    model = f"weir/{place.model}"
    settings = {"provider": {"weir": provider}, "model": model, "small_model": model}
    (place.work / "opencode.json").write_text(json.dumps(settings))


def _codex_arguments(place: Place) -> list[str]:
    provider = f'{{name="weir",base_url="{place.base}/v1",env_key="WEIR_KEY",wire_api="responses"}}'
    settings = ("model_provider=weir", f"model_providers.weir={provider}", f"model={place.model}")
    return [
        "codex",
        "exec",
        "--json",
        "--skip-git-repo-check",
        "--dangerously-bypass-approvals-and-sandbox",
    ] + [part for setting in settings for part in ("-c", setting)]


AGENTS = (
    Agent(
        "Kimi Code",
        "kimi",
        "chat",
        lambda _: ["kimi", "-p", TASK, "--output-format", "stream-json"],
        lambda p: {
            "KIMI_MODEL_NAME": p.model,
            "KIMI_MODEL_API_KEY": p.key,
            "KIMI_MODEL_BASE_URL": f"{p.base}/v1",
            "KIMI_MODEL_PROVIDER_TYPE": "openai",
        },
    ),
    Agent(
        "Claude Code",
        "claude",
        "messages",
        lambda p: [
            "claude",
            "-p",
            TASK,
            "--output-format",
            "json",
            "--model",
            p.model,
            "--allowedTools",
            "Bash",
        ],
        lambda p: {
            "ANTHROPIC_BASE_URL": p.base,
            "ANTHROPIC_AUTH_TOKEN": p.key,
            "ANTHROPIC_MODEL": p.model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": p.model,
        },
    ),
    Agent(
        "Codex", "codex", "responses", lambda p: [*_codex_arguments(p), TASK], lambda p: {"WEIR_KEY": p.key}
    ),
    Agent(
        "Qwen Code",
        "qwen",
        "chat",
        lambda _: ["qwen", "-y", "-o", "json", "--auth-type", "openai", "-p", TASK],
        lambda p: {"OPENAI_BASE_URL": f"{p.base}/v1", "OPENAI_API_KEY": p.key, "OPENAI_MODEL": p.model},
    ),
    Agent(
        "OpenCode",
        "opencode",
        "chat",
        lambda _: ["opencode", "run", "--format", "json", TASK],
        lambda _: {},
        _opencode_settings,
    ),
    Agent(
        "mini-swe-agent",
        "mini",
        "chat",
        lambda p: ["mini", "-y", "-t", TASK, "--exit-immediately", "-m", f"openai/{p.model}"],
        lambda p: {
            "OPENAI_API_BASE": f"{p.base}/v1",
            "OPENAI_API_KEY": p.key,
            "MSWEA_CONFIGURED": "true",
            "MSWEA_COST_TRACKING": "ignore_errors",
        },
    ),
)
