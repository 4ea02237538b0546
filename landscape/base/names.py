"""Names of tensors: under a wrapper's name, or with a prefix, it is the same tensor."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

# DataParallel and DDP, torch.compile, Lightning Fabric, FSDP, checkpoint_wrapper, PEFT's own layers
_WRAPPERS = {
    "module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
    "base_layer", "modules_to_save",
}  # fmt: skip
_ADAPTER = re.compile(r"(\.lora_\w+|\.modules_to_save)\.default(?=\.|$)")
_MOST_PREFIXES = 16
_WEIGHT_NORM = re.compile(r"\bparametrizations\.(\w+)\.original(0|1)$")  # of torch < 2: name_g, _v


def plain_name(name: str) -> str:
    """The name that a tensor has without wrappers.

    >>> plain_name("module.encoder._orig_mod.0.weight")
    'encoder.0.weight'
    """
    name = _ADAPTER.sub(r"\1", name)
    name = _WEIGHT_NORM.sub(lambda found: f"{found[1]}_{'gv'[int(found[2])]}", name)
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def paired_names(mine: Mapping[str, Sequence[str]], theirs: Iterable[str]) -> dict[str, str]:
    """Which of their tensors is which of mine.

    Names pair when they are equal, when they are without the names of wrappers, or when, besides,
    all of one side carry one prefix more (a model held as ``net`` by another module). The first
    of these rules that finds all of mine is taken, else the one that finds most.

    Args:
        mine: Name to all names of a tensor (several for tied weights), in order of preference.
        theirs: Their names.

    Returns:
        My name to theirs, for those that were found.

    >>> paired_names({"0.weight": ["0.weight"]}, ["net._orig_mod.0.weight"])
    {'0.weight': 'net._orig_mod.0.weight'}
    """
    theirs = list(theirs)
    best: dict[str, str] = {}
    for rename, prefix, more in _rules(mine, theirs):
        known = {prefix + rename(name): name for name in theirs}
        if len(known) < len(theirs):
            continue  # the rule takes two of theirs for one
        found = {}
        for name, all_names in mine.items():
            keys = (more + rename(n) for n in all_names)
            if (key := next((k for k in keys if k in known), None)) is not None:
                found[name] = known[key]
        if len(set(found.values())) == len(found) > len(best):
            best = found
        if len(best) == len(mine):
            break
    return best


Rule = tuple[Callable[[str], str], str, str]  # rename both sides; prefixes of theirs and of mine


def _rules(mine: Mapping[str, Sequence[str]], theirs: list[str]) -> Iterable[Rule]:
    yield str, "", ""
    yield plain_name, "", ""
    if not mine or not theirs:
        return
    first = [plain_name(name) for name in next(iter(mine.values()))]
    plain = [plain_name(name) for name in theirs]
    longer = (o.removesuffix(n) for n in first for o in plain if o.endswith(f".{n}"))
    shorter = (n.removesuffix(o) for n in first for o in plain if n.endswith(f".{o}"))
    for prefix in islice(dict.fromkeys(longer), _MOST_PREFIXES):
        yield plain_name, "", prefix
    for prefix in islice(dict.fromkeys(shorter), _MOST_PREFIXES):
        yield plain_name, prefix, ""
