"""Tiny language models of Hugging Face with a tokenizer, made here: nothing is downloaded."""

from __future__ import annotations

import torch

SYMBOLS = 64
ENDS = {"bos_token_id": 0, "eos_token_id": 0}
TEXT = "the cat sat on the mat and the dog ran to the cat. " * 12


def config_of(kind):
    import transformers

    if kind == "gpt2":
        return transformers.GPT2Config(
            vocab_size=SYMBOLS, n_positions=32, n_embd=16, n_layer=2, n_head=2, **ENDS
        )
    sizes = {
        "vocab_size": SYMBOLS, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 32, **ENDS,
    }  # fmt: skip
    if kind == "neox":
        return transformers.GPTNeoXConfig(**sizes)
    return transformers.LlamaConfig(num_key_value_heads=1, tie_word_embeddings=True, **sizes)


def model_of(kind, *, seed=1, dtype=torch.float32):
    import transformers

    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config_of(kind))
    for parameter in model.parameters():
        parameter.data.mul_(4)  # far from guessing
    return model.to(dtype).eval()


def moved(model, step, *, seed=0):
    """The model a step further, in place."""
    generator = torch.Generator().manual_seed(seed + step)
    for parameter in model.parameters():
        parameter.data.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model


def tokenizer():
    import tokenizers
    import transformers

    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=SYMBOLS, special_tokens=["<end>"], show_progress=False
    )
    made.train_from_iterator([TEXT], trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")


def saved(model, folder, **options):
    """The model and its tokenizer in a folder."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(folder, **options)
    tokenizer().save_pretrained(folder)
    return folder


def own_loss(folder, tokens, mask):
    """What the library itself gives for what a folder holds."""
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    labels = tokens.masked_fill(mask == 0, -100)
    with torch.no_grad():
        return model(input_ids=tokens, attention_mask=mask, labels=labels).loss.item()
