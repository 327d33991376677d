"""What context fits into memory, and what is refused."""

from pathlib import Path

import msgspec
import pytest

from tokenweir.core.errors import EngineError
from tokenweir.engines.gguf_file import GgufFacts
from tokenweir.engines.local_plan import OVERHEAD_BYTES, LocalEngineSpec, memory_available, plan

GIB = 1024**3
FACTS = GgufFacts(
    architecture="llama",
    name="m",
    file_bytes=4 * GIB,
    data_bytes=4 * GIB,
    layers=32,
    context=131_072,
    kv_bytes_per_token=128 * 1024,
    chat_template=True,
)


def spec(context: int = 0, parallel: int = 4, **more: str) -> LocalEngineSpec:
    return LocalEngineSpec(model="m.gguf", name="m", context=context, parallel=parallel, **more)


def test_the_models_own_context_is_halved_until_it_fits() -> None:
    assert plan(FACTS, spec(), 100 * GIB, 8).context == 131_072
    assert plan(FACTS, spec(), 16 * GIB, 8).context == 16_384  # 4 calls × 16,384 × 128 KiB = 8 GiB
    assert plan(FACTS, spec(parallel=1), 16 * GIB, 8).context == 65_536
    found = plan(FACTS, spec(), 4 * GIB + OVERHEAD_BYTES + GIB, 8)
    assert found.context == 2_048
    assert found.need_bytes == 4 * GIB + OVERHEAD_BYTES + GIB


def test_too_little_memory_is_refused_with_the_numbers() -> None:
    with pytest.raises(EngineError, match=r"needs about 5\.2 GiB .* 2,048 tokens, and 5\.0 GiB are free"):
        plan(FACTS, spec(), 5 * GIB, 8)


def test_a_context_that_is_asked_for_is_never_cut() -> None:
    assert plan(FACTS, spec(context=8_192), 16 * GIB, 8).context == 8_192
    with pytest.raises(EngineError, match="32,768 tokens"):
        plan(FACTS, spec(context=32_768), 16 * GIB, 8)


def test_threads_are_those_asked_for_or_all() -> None:
    assert plan(FACTS, spec(), 100 * GIB, 8).threads == 8
    asked = LocalEngineSpec(model="m.gguf", name="m", threads=3)
    assert plan(FACTS, asked, 100 * GIB, 8).threads == 3


def test_a_small_model_is_computed_by_one_thread() -> None:
    small = msgspec.structs.replace(FACTS, file_bytes=3_000_000, data_bytes=3_000_000)
    assert plan(small, spec(), 100 * GIB, 8).threads == 1


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [("max", 2 * GIB), (str(3 * GIB), 2 * GIB), (str(GIB + 5), 5), ("7", 0), (None, 2 * GIB)],
)
def test_free_memory_is_the_least_of_machine_and_container(
    tmp_path: Path, limit: str | None, wanted: int
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 9 kB\nMemAvailable:   {2 * GIB // 1024} kB\n")
    if limit is not None:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text(f"{GIB}\n")
    assert memory_available(meminfo, tmp_path) == wanted


def test_a_spec_never_shows_its_key() -> None:
    assert "secret-key" not in repr(spec(api_key="secret-key"))
    assert "secret-key" not in str(spec(api_key="secret-key"))
