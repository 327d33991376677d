"""Whatever bytes come, the parsers of the engines' room give a value or their own error."""

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenweir.core.errors import EngineError
from tokenweir.engines.gguf_file import read_gguf
from tokenweir.engines.health import parse_load
from tokenweir.engines.model_reference import parse_reference, read_listing
from tokenweir.engines.simulated_script import Break, Framing, Script, UsageStyle
from tokenweir.engines.simulated_steps import End, chat_steps


def _text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(8, "little") + raw


def _uint32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _small_gguf() -> bytes:
    entries = [
        _text("general.architecture") + _uint32(8) + _text("llama"),
        _text("general.alignment") + _uint32(4) + _uint32(32),
        _text("llama.block_count") + _uint32(4) + _uint32(2),
        _text("llama.attention.head_count") + _uint32(6) + b"\x00\x00\x80\x40",
        _text("llama.embedding_length") + _uint32(12) + b"\0\0\0\0\0\0\x50\x40",
        _text("tokens") + _uint32(9) + _uint32(8) + (2).to_bytes(8, "little") + _text("a") + _text("b"),
        _text("kv") + _uint32(9) + _uint32(4) + (2).to_bytes(8, "little") + _uint32(1) + _uint32(2),
    ]
    tensor = _text("w") + _uint32(1) + (8).to_bytes(8, "little") + _uint32(0) + (0).to_bytes(8, "little")
    head = b"GGUF" + _uint32(3) + (1).to_bytes(8, "little") + len(entries).to_bytes(8, "little")
    head += b"".join(entries) + tensor
    return head + b"\0" * (-len(head) % 32 + 32)


SMALL = _small_gguf()


def test_the_small_file_is_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "small.gguf"
    path.write_bytes(SMALL)
    facts = read_gguf(path)
    assert (facts.architecture, facts.layers, facts.data_bytes) == ("llama", 2, len(SMALL))
    assert facts.kv_bytes_per_token == 2 * 4 * (16 + 16) * 2


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=6), st.integers(0, 400)
)
def test_a_damaged_model_file_gives_facts_or_an_engine_error(
    changes: list[tuple[int, int]], cut: int
) -> None:
    content = bytearray(SMALL)
    for place, value in changes:
        content[place] = value
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "m.gguf"
        path.write_bytes(content[: len(content) - cut] if cut < len(content) else content)
        try:
            facts = read_gguf(path)
        except EngineError as error:
            assert str(path) in str(error)
        else:
            assert facts.file_bytes >= facts.data_bytes


@given(st.text(max_size=200) | st.from_regex(r"(hf|modelscope):[\w./@-]{0,30}", fullmatch=True))
def test_a_reference_never_leaves_its_folder(text: str) -> None:
    try:
        reference = parse_reference(text)
    except EngineError:
        return
    if reference is not None:
        root = Path("/models")
        target = (root / reference.folder / reference.path).resolve()
        assert target.is_relative_to(root / reference.hub / reference.repo)


@given(st.binary(max_size=200), st.sampled_from(["hf", "modelscope"]))
def test_any_listing_gives_files_or_an_engine_error(body: bytes, hub: str) -> None:
    try:
        read_listing(hub, body)
    except EngineError as error:
        assert str(error)


@given(st.text(max_size=300), st.floats())
def test_any_metrics_page_gives_a_load_or_nothing(noise: str, value: float) -> None:
    parse_load(noise)
    load = parse_load(f"{noise}\nvllm:num_requests_running {value}\n")
    assert load is None or load.running is None or load.running >= 0


SCRIPTS = st.builds(
    Script,
    output_tokens=st.integers(0, 12),
    reasoning_tokens=st.integers(0, 6),
    cached_tokens=st.integers(0, 6),
    tokens_per_chunk=st.integers(1, 4),
    usage=st.sampled_from(UsageStyle),
    finish=st.booleans(),
    done=st.booleans(),
    tool_call=st.booleans(),
    role_chunk=st.booleans(),
    crlf=st.booleans(),
    hold_at=st.none() | st.integers(-1, 20),
    break_at=st.none() | st.integers(-1, 20),
    break_how=st.sampled_from(Break),
    error_at=st.none() | st.integers(-1, 20),
    framing=st.sampled_from(Framing),
    cut_every=st.integers(0, 5),
    events_per_write=st.integers(0, 5),
)


@pytest.mark.parametrize("stream", [False, True])
@given(script=SCRIPTS)
def test_every_script_ends_once_and_cuts_and_groups_change_no_byte(stream: bool, script: Script) -> None:
    body = msgspec.json.encode({"model": "m", "stream": stream, "messages": [{"content": "a b"}]})
    steps = chat_steps(script, body)
    assert isinstance(steps[-1], End)
    assert sum(isinstance(step, End) for step in steps) == 1
    assert all(step != b"" for step in steps)
    whole = chat_steps(msgspec.structs.replace(script, cut_every=0, events_per_write=1), body)
    assert b"".join(s for s in steps if isinstance(s, bytes)) == b"".join(
        s for s in whole if isinstance(s, bytes)
    )
