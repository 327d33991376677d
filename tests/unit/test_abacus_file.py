"""The model file that ships: there, whole, small, and what the export makes of template and vocabulary."""

from pathlib import Path

import pytest

from tokenweir.engines.gguf_file import read_gguf
from tokenweir.engines.local_plan import LocalEngineSpec, abacus_model, check_model, file_sha256
from vocabulary import MARKS, TOKENS

gguf = pytest.importorskip("gguf")

MOST_BYTES = 8_000_000
HERE = Path(__file__).parents[2] / "models" / "abacus"


def shipped() -> tuple[Path, str]:
    found = abacus_model()
    assert found is not None
    return found


def test_it_has_its_checksum_and_is_small() -> None:
    path, sha256 = shipped()
    assert path.samefile(HERE / "abacus.gguf")
    assert file_sha256(path) == sha256
    assert path.stat().st_size <= MOST_BYTES
    assert check_model(LocalEngineSpec(model=str(path), name="abacus", sha256=sha256)).context == 2_048


def test_its_head_says_what_it_is() -> None:
    facts = read_gguf(shipped()[0])
    assert (facts.architecture, facts.name, facts.context) == ("llama", "abacus", 2_048)
    assert facts.chat_template


def test_it_was_exported_from_the_template_and_vocabulary_beside_it() -> None:
    fields = gguf.GGUFReader(shipped()[0]).fields
    assert fields["tokenizer.chat_template"].contents() == (HERE / "template.jinja").read_text()
    assert tuple(fields["tokenizer.ggml.tokens"].contents()) == TOKENS
    kinds = fields["tokenizer.ggml.token_type"].contents()
    assert {TOKENS[i] for i, kind in enumerate(kinds) if kind == gguf.TokenType.CONTROL} == set(MARKS)
