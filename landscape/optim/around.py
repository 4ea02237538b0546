"""Around: an optimizer that contains others and shares their parameter groups."""

from __future__ import annotations

from typing import Any

from torch.optim.optimizer import Optimizer


class Around(Optimizer):
    """Base of optimizers that are built around others.

    The parameter groups are the very dictionaries of the inner optimizers, so schedulers that
    change a learning rate here change it there. The state dict holds the inner ones under
    ``inner``.

    Args:
        inner: The inner optimizers; their groups together are the groups of this one.
    """

    def __init__(self, *inner: Optimizer) -> None:
        self.inner = inner
        self._built = False
        super().__init__(self._inner_groups(), {})
        self.param_groups: list[dict[str, Any]] = self._inner_groups()
        self.defaults: dict[str, Any] = inner[0].defaults
        self._built = True

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refused once built: a new group would not reach the inner optimizer.

        Raises:
            ValueError: After construction.
        """
        if self._built:
            raise ValueError(
                f"Parameter groups cannot be added to a {type(self).__name__}; give all of them "
                "when it is made."
            )
        super().add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """The own state with those of the inner optimizers under ``inner``."""
        return {**super().state_dict(), "inner": [o.state_dict() for o in self.inner]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        own = {key: value for key, value in state_dict.items() if key != "inner"}
        super().load_state_dict(own)
        for optimizer, state in zip(self.inner, state_dict["inner"], strict=True):
            optimizer.load_state_dict(state)
        self.param_groups = self._inner_groups()

    def _inner_groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.inner for group in optimizer.param_groups]
