"""What `weir up` prints first: where it is, what it serves, and at the first start a key and its use."""

import shlex
import sys
from pathlib import Path
from typing import TextIO

from tokenweir.cli.colours import colours
from tokenweir.cli.offers import Resolved, Source

#: The model that the examples ask: ours if it runs, since it needs no account.
_PREFERRED = "abacus"
_QUESTION = "What is 12 + 30?"


def greet(
    resolved: Resolved,
    *,
    address: str,
    directory: Path,
    key: str,
    file: str,
    console: bool = True,
    out: TextIO | None = None,
) -> None:
    """Print the greeting; `key` is empty but on the first start."""
    stream = out or sys.stdout
    bold, dim, end = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if colours(stream) else ("", "", "")
    lines = [
        f"{bold}tokenweir{end} serves {bold}{address}/v1{end}",
        *([f"  console   {bold}{address}/console{end}"] if console else []),
        f"  ledger    {directory}",
        f"  settings  {file or 'none; environment and flags only'}",
        f"  models    {len(resolved.config.models)}",
    ]
    lines += [f"  upstream  {_source(source)}" for source in resolved.sources]
    if not resolved.sources:
        lines += _nothing_to_serve()
    lines += [f"  note      {note}" for note in resolved.notes]
    if key:
        lines += ["", f"{bold}Your first key, shown this once:{end} {key}", ""]
        lines += _examples(resolved, address, key)
    else:
        lines.append(f"{dim}`weir keys create --name NAME` makes a further key.{end}")
    print("\n".join(lines), file=stream, flush=True)


def _source(source: Source) -> str:
    models = "1 model" if source.models == 1 else f"{source.models} models"
    return f"{source.upstream}  {source.address}  {models}  ({source.why})"


def _nothing_to_serve() -> list[str]:
    return [
        "  no upstream was found: set a provider's key (such as MOONSHOT_API_KEY), start an engine,",
        "  or write a weir.toml; then `kill -HUP` this process, or start it again",
    ]


def example_model(resolved: Resolved) -> str:
    """The model that the examples name; empty when nothing is served."""
    names = [model.name for model in resolved.config.models]
    return _PREFERRED if _PREFERRED in names else (names[0] if names else "")


def _examples(resolved: Resolved, address: str, key: str) -> list[str]:
    model = example_model(resolved)
    if not model:
        return []
    return [*curl_example(address, key, model), "", *python_example(address, key, model)]


def curl_example(address: str, key: str, model: str) -> list[str]:
    """A command that works as it is."""
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "{_QUESTION}"}}]}}'
    return [
        f"curl {address}/v1/chat/completions \\",
        f"  -H 'Authorization: Bearer {key}' \\",
        "  -H 'Content-Type: application/json' \\",
        f"  -d {shlex.quote(body)}",
    ]


def python_example(address: str, key: str, model: str) -> list[str]:
    """A snippet that works as it is, with the package `openai`."""
    return [
        "from openai import OpenAI",
        f'client = OpenAI(base_url="{address}/v1", api_key="{key}")',
        "answer = client.chat.completions.create(",
        f'    model="{model}", messages=[{{"role": "user", "content": "{_QUESTION}"}}]',
        ")",
        "print(answer.choices[0].message.content)",
    ]
