"""The Hessian written out, as a reference for small models."""

from __future__ import annotations

import numpy as np
import torch
from torch.func import functional_call

from landscape.base.layout import Layout


def dense_hessian(model, mean_loss, vector: np.ndarray) -> np.ndarray:
    """∂² mean_loss(model) / ∂ θ² in double precision, entry by entry."""
    layout = Layout.of(model)

    def of(flat):
        parameters = {e.name: flat[e.slice].view(e.shape) for e in layout}
        return mean_loss(lambda *given: functional_call(model, parameters, given))

    flat = torch.from_numpy(np.asarray(vector, np.float64))
    return torch.autograd.functional.hessian(of, flat).numpy()
