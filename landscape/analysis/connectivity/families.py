"""Groups of units of transformers, by the names of their classes.

Whole heads, groups of key and value heads with their queries, hidden units, and the residual
stream: one order for all layers, and for the embedding that is tied to the output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from torch import nn

from landscape.analysis.connectivity.permutations import Group, Permutable, Place

Names = Iterable[tuple[str, int]]

EXPECTATION = (
    "for transformers permutations alone are not known to remove the barrier (Theus et al. 2025, "
    "arXiv:2506.22712)"
)


def family_of(model: nn.Module) -> Permutable | None:
    """The groups of a model of a known class or one made from it; None for any other.

    Many a class of someone else's is called GPT or Llama, too.
    """
    for kind in type(model).__mro__:
        if kind.__module__.partition(".")[0] in ("landscape", "transformers"):
            build = _FAMILIES.get(kind.__name__)
            return None if build is None else build(model)
    return None


def _shipped(model: nn.Module) -> Permutable:
    image = type(model).__name__ == "ViT"
    found = _Found(model)
    ends = [("patches.weight", 0), ("patches.bias", 0)] if image else [("symbol.weight", 1)]
    found.stream([*ends, ("position", 1), ("norm.weight", 0), ("norm.bias", 0), ("head.weight", 1)])
    for number, block in enumerate(model.blocks):  # pyright: ignore[reportArgumentType]
        at, heads = f"blocks.{number}.", block.heads
        for norm in ("norm1", "norm2"):
            found.stream([(f"{at}{norm}.weight", 0), (f"{at}{norm}.bias", 0)])
        found.stream([(f"{at}attention.weight", 1), (f"{at}mlp.0.weight", 1)])
        for out in ("projection", "mlp.2"):
            found.stream([(f"{at}{out}.weight", 0), (f"{at}{out}.bias", 0)])
        fused = [(f"{at}attention.weight", 0), (f"{at}attention.bias", 0)]
        found.heads(f"{at}heads", heads, fused, repeat=3)
        found.heads(f"{at}heads", heads, [(f"{at}projection.weight", 1)])
        hidden = [(f"{at}mlp.0.weight", 0), (f"{at}mlp.0.bias", 0), (f"{at}mlp.2.weight", 1)]
        found.units(f"{at}hidden", hidden)
    return found.permutable()


def _llama2c(model: nn.Module) -> Permutable:
    found = _Found(model)
    found.stream([("tok_embeddings.weight", 1), ("norm.weight", 0)])
    for number, layer in enumerate(model.layers):  # pyright: ignore[reportArgumentType]
        at = f"layers.{number}."
        attention, forward = f"{at}attention.", f"{at}feed_forward."
        found.stream([(f"{at}attention_norm.weight", 0), (f"{at}ffn_norm.weight", 0)])
        found.stream([(f"{attention}{n}.weight", 1) for n in ("wq", "wk", "wv")])
        found.stream([(f"{attention}wo.weight", 0), (f"{forward}w2.weight", 0)])
        found.stream([(f"{forward}w1.weight", 1), (f"{forward}w3.weight", 1)])
        groups = layer.attention.wk.weight.shape[0] // layer.attention.size
        heads = [(f"{attention}{n}.weight", 0) for n in ("wq", "wk", "wv")]
        found.heads(f"{at}heads", groups, [*heads, (f"{attention}wo.weight", 1)])
        ways = [(f"{forward}w1.weight", 0), (f"{forward}w3.weight", 0), (f"{forward}w2.weight", 1)]
        found.units(f"{at}hidden", ways)
    return found.permutable()


def _gpt2(model: nn.Module) -> Permutable:
    found, config = _Found(model), cast(Any, model.config)
    heads: int = config.n_head
    found.stream([("wte.weight", 1), ("wpe.weight", 1), ("ln_f.weight", 0), ("ln_f.bias", 0)])
    found.stream([("lm_head.weight", 1)])
    for number in range(config.n_layer):
        at = f"h.{number}."
        for norm in ("ln_1", "ln_2"):
            found.stream([(f"{at}{norm}.weight", 0), (f"{at}{norm}.bias", 0)])
        found.stream([(f"{at}attn.c_attn.weight", 0), (f"{at}mlp.c_fc.weight", 0)])
        for out in ("attn.c_proj", "mlp.c_proj"):  # Conv1D stores (in, out)
            found.stream([(f"{at}{out}.weight", 1), (f"{at}{out}.bias", 0)])
        fused = [(f"{at}attn.c_attn.weight", 1), (f"{at}attn.c_attn.bias", 0)]
        found.heads(f"{at}heads", heads, fused, repeat=3)
        found.heads(f"{at}heads", heads, [(f"{at}attn.c_proj.weight", 0)])
        hidden = [(f"{at}mlp.c_fc.weight", 1), (f"{at}mlp.c_fc.bias", 0)]
        found.units(f"{at}hidden", [*hidden, (f"{at}mlp.c_proj.weight", 0)])
    return found.permutable()


def _llama(model: nn.Module) -> Permutable:
    found, config = _Found(model), model.config
    groups: int = config.num_key_value_heads  # pyright: ignore
    found.stream([("embed_tokens.weight", 1), ("norm.weight", 0), ("lm_head.weight", 1)])
    for number in range(config.num_hidden_layers):  # pyright: ignore
        at = f"layers.{number}."
        attention, forward = f"{at}self_attn.", f"{at}mlp."
        norms = ("input_layernorm", "post_attention_layernorm")
        found.stream([(f"{at}{norm}.weight", 0) for norm in norms])
        inside = ("q_proj", "k_proj", "v_proj")
        found.stream([(f"{attention}{n}.weight", 1) for n in inside])
        found.stream([(f"{attention}o_proj.{n}", 0) for n in ("weight", "bias")])
        found.stream([(f"{forward}{n}.weight", 1) for n in ("gate_proj", "up_proj")])
        found.stream([(f"{forward}down_proj.{n}", 0) for n in ("weight", "bias")])
        parts = [(f"{attention}{n}.{part}", 0) for n in inside for part in ("weight", "bias")]
        found.heads(f"{at}heads", groups, [*parts, (f"{attention}o_proj.weight", 1)])
        ways = [(f"{forward}{n}.{p}", 0) for n in ("gate_proj", "up_proj") for p in _BOTH]
        found.units(f"{at}hidden", [*ways, (f"{forward}down_proj.weight", 1)])
    return found.permutable()


def _neox(model: nn.Module) -> Permutable:
    found, config = _Found(model), model.config
    heads: int = config.num_attention_heads  # pyright: ignore
    found.stream([("embed_in.weight", 1), ("embed_out.weight", 1), ("lm_head.weight", 1)])
    found.stream([(f"final_layer_norm.{n}", 0) for n in _BOTH])
    for number in range(config.num_hidden_layers):  # pyright: ignore
        at = f"layers.{number}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            found.stream([(f"{at}{norm}.{n}", 0) for n in _BOTH])
        fused, dense = f"{at}attention.query_key_value.", f"{at}attention.dense."
        wide, back = f"{at}mlp.dense_h_to_4h.", f"{at}mlp.dense_4h_to_h."
        found.stream([(f"{fused}weight", 1), (f"{wide}weight", 1)])
        found.stream([(f"{out}{n}", 0) for out in (dense, back) for n in _BOTH])
        parts = [(f"{fused}{n}", 0) for n in _BOTH]  # every head: query, key, value
        found.heads(f"{at}heads", heads, [*parts, (f"{dense}weight", 1)])
        found.units(f"{at}hidden", [*((f"{wide}{n}", 0) for n in _BOTH), (f"{back}weight", 1)])
    return found.permutable()


_BOTH = ("weight", "bias")

_FAMILIES: dict[str, Callable[[nn.Module], Permutable]] = {
    "ViT": _shipped,
    "GPT": _shipped,
    "Llama": _llama2c,
    "GPT2LMHeadModel": _gpt2,
    "LlamaForCausalLM": _llama,
    "MistralForCausalLM": _llama,
    "Qwen2ForCausalLM": _llama,
    "Qwen3ForCausalLM": _llama,
    "GPTNeoXForCausalLM": _neox,
}


class _Found:
    """Groups as they are collected; tensors that the model does not have are passed over."""

    def __init__(self, model: nn.Module) -> None:
        first = {id(p): name for name, p in model.named_parameters()}
        self._shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
        every = model.named_parameters(remove_duplicate=False)
        self._names: dict[str, str] = {}
        for name, parameter in every:
            for prefix in ("", "model.", "transformer.", "gpt_neox."):
                if name.startswith(prefix):
                    self._names[name.removeprefix(prefix)] = first[id(parameter)]
        self._groups: dict[str, tuple[int, list[Place]]] = {}

    def stream(self, names: Names) -> None:
        self.units("stream", names)

    def units(self, group: str, names: Names) -> None:
        for name, axis in names:
            if known := self._names.get(name):
                self._add(group, self._shapes[known][axis], Place(known, axis))

    def heads(self, group: str, heads: int, names: Names, *, repeat: int = 1) -> None:
        for name, axis in names:
            if known := self._names.get(name):
                block = self._shapes[known][axis] // (heads * repeat)
                self._add(group, heads, Place(known, axis, repeat, block))

    def _add(self, group: str, units: int, place: Place) -> None:
        places = self._groups.setdefault(group, (units, []))[1]
        if place not in places:
            places.append(place)

    def permutable(self) -> Permutable:
        found = (Group(name, units, tuple(p)) for name, (units, p) in self._groups.items())
        told = (
            "elements inside a head (whole heads are permuted)",
            "query heads inside a group of key and value heads",
        )
        return Permutable(tuple(found), told)
