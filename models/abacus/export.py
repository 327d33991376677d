"""Write the trained network as GGUF, which llama.cpp serves: weights in 16 bits, vocabulary, chat template.

python export.py --checkpoint build/checkpoint.pt --out abacus.gguf
"""

import argparse
import hashlib
from pathlib import Path

import gguf
import numpy
import torch

from network import Size
from vocabulary import CHARACTERS, END_ID, MARKS, NUMBER_OF, TOKENS, UNKNOWN

HERE = Path(__file__).parent


def kind_of(token: str) -> gguf.TokenType:
    """How llama.cpp treats a token: marks are hidden in answers, whole words are cut out of any text."""
    if token == UNKNOWN:
        return gguf.TokenType.UNKNOWN
    if token in MARKS:
        return gguf.TokenType.CONTROL
    if token.startswith("<0x"):
        return gguf.TokenType.BYTE
    return gguf.TokenType.NORMAL if token in CHARACTERS else gguf.TokenType.USER_DEFINED


def add_vocabulary(writer: gguf.GGUFWriter) -> None:
    """Tokens, marks and the chat template."""
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(list(TOKENS))
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_token_types([kind_of(token) for token in TOKENS])
    writer.add_unk_token_id(NUMBER_OF[UNKNOWN])
    writer.add_eos_token_id(END_ID)
    writer.add_eot_token_id(END_ID)
    writer.add_pad_token_id(END_ID)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template((HERE / "template.jinja").read_text(encoding="utf-8"))


def add_facts(writer: gguf.GGUFWriter, size: Size) -> None:
    """What the network is, and how to draw from it."""
    writer.add_name("abacus")
    writer.add_description("Integer sums told step by step, in English and Chinese")
    writer.add_license("Apache-2.0")
    writer.add_languages(["en", "zh"])
    writer.add_context_length(size.context)
    writer.add_embedding_length(size.width)
    writer.add_block_count(size.layers)
    writer.add_feed_forward_length(size.feed_forward)
    writer.add_head_count(size.heads)
    writer.add_head_count_kv(size.heads)
    writer.add_layer_norm_rms_eps(size.epsilon)
    writer.add_rope_dimension_count(size.head_width)
    writer.add_rope_freq_base(size.rope_base)
    writer.add_vocab_size(size.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_float32("general.sampling.temp", 0.0)  # a sum has one answer


def add_weights(writer: gguf.GGUFWriter, weights: dict[str, torch.Tensor], size: Size) -> None:
    """Under the names that llama.cpp has for them."""

    def add(name: str, weight: torch.Tensor) -> None:
        wanted = numpy.float16 if weight.dim() > 1 else numpy.float32
        writer.add_tensor(f"{name}.weight", weight.float().numpy().astype(wanted))

    for name in ("token_embd", "output_norm", "output"):
        add(name, weights[f"{name}.weight"])
    for layer in range(size.layers):
        here = f"blk.{layer}."
        for name in ("attn_norm", "attn_output", "ffn_norm", "ffn_down"):
            add(here + name, weights[f"{here}{name}.weight"])
        for name, part in zip(
            ("attn_q", "attn_k", "attn_v"), weights[f"{here}attn_qkv.weight"].chunk(3), strict=True
        ):
            add(here + name, part.contiguous())
        for name, part in zip(
            ("ffn_gate", "ffn_up"), weights[f"{here}ffn_gate_up.weight"].chunk(2), strict=True
        ):
            add(here + name, part.contiguous())


def write(weights: dict[str, torch.Tensor], out: Path) -> None:
    """The model file and, beside it, its SHA-256."""
    size = Size()
    writer = gguf.GGUFWriter(str(out), "llama")
    add_facts(writer, size)
    add_vocabulary(writer)
    add_weights(writer, weights, size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    out.with_name(f"{out.name}.sha256").write_text(f"{digest}  {out.name}\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, default=Path("build/checkpoint.pt"))
    parser.add_argument("--out", type=Path, default=HERE / "abacus.gguf")
    options = parser.parse_args()
    write(torch.load(options.checkpoint, weights_only=True)["network"], options.out)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
