"""How a recorded training loop is judged: states, last state, complete, warnings."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import landscape as ls
from strangers.situation import Verdict


def records(
    folder: Path,
    model: nn.Module,
    optimizer: Any,
    loop: Callable[[ls.Recorder], None],
    *,
    states: int,
    says: str = "",
    complete: bool = True,
    ends: type[BaseException] | None = None,
    **options: Any,
) -> Verdict:
    """Record a loop; the last state must be the model, bit for bit.

    Args:
        folder: Where to.
        model: The stranger's.
        optimizer: The stranger's: what is given to the recorder.
        loop: The stranger's loop.
        states: How many states there must be.
        says: A regular expression for the one warning there must be; empty: none.
        complete: Whether the recording is to be marked complete.
        ends: What the loop ends with, if with an exception.
        options: For the recorder.
    """
    path = folder / "run.h5"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with ls.Recorder(path, model, optimizer, **options) as recorder:
                loop(recorder)
        except BaseException as error:
            if ends is None or not isinstance(error, ends):
                raise
        else:
            assert ends is None, f"the loop did not end with {ends}"
    heard = [str(w.message) for w in caught if issubclass(w.category, ls.MovedUnseen)]
    assert len(heard) == bool(says), heard
    assert all(re.search(says, message) and "\n" not in message for message in heard), heard
    run = ls.Trajectory(path)
    assert len(run) == states, f"{len(run)} states instead of {states}"
    assert run.complete is complete
    named = dict(model.named_parameters())
    last = torch.from_numpy(run.final)
    for entry in run.layout:
        now = named[entry.name].detach()
        if now.shape != entry.shape:  # replaced by another, of which the warning speaks
            continue
        assert torch.equal(last[entry.slice], now.to(last.dtype).reshape(-1)), (
            f"{entry.name} is not the model's"
        )
    buffers = run.buffers(-1)
    for entry in run.buffers_layout:
        now = model.get_buffer(entry.name).to(torch.float64).reshape(-1)
        assert buffers is not None
        assert torch.equal(torch.from_numpy(buffers[entry.slice]).double(), now), entry.name
    return Verdict(True, heard[0] if heard else f"{states} states")
