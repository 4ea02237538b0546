"""Write the trained model stories260K of llama2.c as Hugging Face saves models.

Makes ``data/stories260K`` (model and tokenizer) and ``data/stories.jsonl`` (five short stories),
which the tutorial docs/language-models.md begins with. The model pairs neighbouring numbers in its
rotary positions and the library pairs halves, so rows of queries and keys change places; losses
agree to rounding, which is checked, and so do tokens.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from landscape.exchange.checkpoints.state import load_state
from landscape.objective.losses import causal_lm
from landscape.tasks.folders import find_data
from landscape.tasks.llama import Llama, Tokenizer, next_token_loss, padded

STATE, TOKENIZER, STORIES = "stories260K_state_dict.pt", "tok512.bin", "tinystories_sample.txt"
NAMES = {
    "attention.wq": "self_attn.q_proj", "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj", "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj", "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj", "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}  # fmt: skip
SIZE = 8  # of a head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder to write into")
    parser.add_argument("--smoke", action="store_true", help="write into data/smoke")
    args = parser.parse_args()
    out = args.out / "smoke" if args.smoke else args.out
    try:
        files = find_data("checkpoints/stories260K", [STATE, TOKENIZER, STORIES])
    except FileNotFoundError as error:
        print(f"Nothing written, for want of the trained model. {error}")
        return
    texts = files[STORIES].read_text(encoding="utf-8").split("<|endoftext|>")
    texts = [text.strip() for text in texts if text.strip()]
    own, mine = Llama.from_state(load_state(files[STATE]), heads=8), Tokenizer(files[TOKENIZER])
    model, tokenizer = converted(own), converted_tokenizer(mine)
    model.save_pretrained(out / "stories260K")
    tokenizer.save_pretrained(out / "stories260K")
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    (out / "stories.jsonl").write_text("\n".join(lines), encoding="utf-8")
    tokens = [mine.encode(text) for text in texts]
    assert [tokenizer(text)["input_ids"] for text in texts] == tokens
    with torch.no_grad():
        total, count = next_token_loss(own, padded(tokens))
        found = causal_lm(model, padded(tokens))
    loss, again = float(total / count), float(found.total.sum() / found.weight.sum())
    assert abs(loss - again) < 1e-5
    print(f"{out / 'stories260K'}: {again:.4f} nats per token of {len(texts)} stories")


def converted(own: Llama):
    """The same model as the library has it."""
    import transformers

    shapes = {name: tensor.shape for name, tensor in own.state_dict().items()}
    config = transformers.LlamaConfig(
        vocab_size=own.tok_embeddings.num_embeddings,
        hidden_size=own.tok_embeddings.embedding_dim,
        intermediate_size=shapes["layers.0.feed_forward.w1.weight"][0],
        num_hidden_layers=len(own.layers),
        num_attention_heads=8,
        num_key_value_heads=shapes["layers.0.attention.wk.weight"][0] // SIZE,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    state = {}
    for name, tensor in own.state_dict().items():
        _, number, part = (name.removesuffix(".weight") + "..").split(".", 2)
        if name.startswith("layers."):
            part = part.rstrip(".")
            turned = halves(tensor) if part in ("attention.wq", "attention.wk") else tensor
            state[f"model.layers.{number}.{NAMES[part]}.weight"] = turned
    state["model.embed_tokens.weight"] = state["lm_head.weight"] = own.tok_embeddings.weight
    state["model.norm.weight"] = own.norm.weight
    model.load_state_dict(state)
    return model


def halves(weight: Tensor) -> Tensor:
    """Rows of each head: first the even ones, then the odd ones."""
    heads = weight.view(-1, SIZE // 2, 2, weight.shape[1])
    return heads.transpose(1, 2).reshape(weight.shape)


def converted_tokenizer(own: Tokenizer):
    """The same byte-pair encoding: the best of all neighbours that form a known piece joins."""
    import transformers
    from tokenizers import Tokenizer as Made
    from tokenizers import decoders, models, normalizers, processors

    names = ["<unk>", "<s>", "</s>", *(piece.decode() for piece in own.pieces[3:])]
    pieces = {piece: number for number, piece in enumerate(names)}
    merges = [
        (piece[:at], piece[at:])
        for piece, number in pieces.items() if number > 258
        for at in range(1, len(piece)) if piece[:at] in pieces and piece[at:] in pieces
    ]  # fmt: skip
    made = Made(models.BPE(pieces, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Prepend(" ")
    made.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", model_max_length=512
    )


if __name__ == "__main__":
    main()
