"""A model of random weights for llama.cpp. A byte is a token, so that a test can count tokens itself."""

from pathlib import Path

import gguf
import numpy

LAYERS, WIDTH, HEADS, FEED_FORWARD, CONTEXT = 2, 64, 2, 128, 512

#: The turn of a message is a mark, the content and an end; what is asked for begins with the answer's mark.
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
MARKS = ("<unk>", "<end>", "<system>", "<user>", "<assistant>")


def prompt_tokens(*contents: str) -> int:
    """Tokens of a chat of these messages (ASCII): bytes, two marks each, and the mark of the answer."""
    return sum(len(content) + 2 for content in contents) + 1


def write_tiny_gguf(path: Path, seed: int = 7) -> Path:
    """Write the model; about 0.5 MB."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_vocabulary(writer)
    _add_weights(writer, numpy.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary() -> list[tuple[str, gguf.TokenType]]:
    unknown, *marks = MARKS
    return [
        (unknown, gguf.TokenType.UNKNOWN),
        *((mark, gguf.TokenType.CONTROL) for mark in marks),
        *((f"<0x{byte:02X}>", gguf.TokenType.BYTE) for byte in range(256)),
        ("▁", gguf.TokenType.NORMAL),  # how this kind of vocabulary writes a space
    ]


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    tokens = _vocabulary()
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)


def _add_weights(writer: gguf.GGUFWriter, random: numpy.random.Generator) -> None:
    def add(name: str, *shape: int) -> None:
        values = random.standard_normal(shape, dtype=numpy.float32) * 0.05
        writer.add_tensor(f"{name}.weight", values if len(shape) > 1 else numpy.ones(shape, numpy.float32))

    size = len(_vocabulary())
    add("token_embd", size, WIDTH)
    add("output_norm", WIDTH)
    add("output", size, WIDTH)
    for layer in range(LAYERS):
        add(f"blk.{layer}.attn_norm", WIDTH)
        for part in ("q", "k", "v", "output"):
            add(f"blk.{layer}.attn_{part}", WIDTH, WIDTH)
        add(f"blk.{layer}.ffn_norm", WIDTH)
        add(f"blk.{layer}.ffn_gate", FEED_FORWARD, WIDTH)
        add(f"blk.{layer}.ffn_up", FEED_FORWARD, WIDTH)
        add(f"blk.{layer}.ffn_down", WIDTH, FEED_FORWARD)
