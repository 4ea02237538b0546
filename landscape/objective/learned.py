"""What was learned of a set of metrics: what they do, who reads what, what was compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from landscape.objective.data.held import HeldData
from landscape.objective.inspection.look import look_again
from landscape.objective.inspection.nature import Nature
from landscape.objective.lending.loan import Loan
from landscape.objective.lending.standing import Standing
from landscape.objective.metrics import Metric
from landscape.objective.policies.precision import arithmetic
from landscape.objective.problem import Problem


@dataclass
class Learned:
    """What was learned of metrics, which are known by their identity.

    Attributes:
        metrics: The metrics themselves, so that no others get their identity.
        nature: What the look at them found, the first time that the model was lent.
        first_batch: Whether the first batch was looked at, not only a few of its samples.
        programs: What was compiled for them.
        readers: Which modules read which parameters, once that was seen.
        confirmed: Way to the number of samples on which it was compared with the plain one.
        looked_at: The number of samples on which it was seen that none of their batches draws.
        looked_whole: Whether they were looked at over whole sequences, if a few tokens were first.
    """

    metrics: Mapping[str, Metric]
    nature: Nature | None = None
    first_batch: bool = False
    programs: dict[Any, Any] = field(default_factory=dict)
    readers: dict[str, Any] = field(default_factory=dict)
    confirmed: dict[str, int] = field(default_factory=dict)
    looked_at: int = 0
    looked_whole: bool = False

    def copy(self) -> Learned:
        """What is known so far, to be learned further apart from this; programs are shared."""
        return Learned(self.metrics, self.nature, self.first_batch, self.programs)

    def nature_of(self, problem: Problem, loan: Loan, *, whole: bool = True) -> Nature:
        """What the look at the metrics found; they are looked at now if they were not before.

        Args:
            problem: What is measured.
            loan: The model, at its own weights.
            whole: Whether to look at the first batch; else a few samples do until `draws_later`.
        """
        if self.nature is None:
            self.nature = problem.look(loan)
        if whole and not self.first_batch:
            self.nature = problem.look_whole(loan, self.nature)
            self.first_batch = True
        return self.nature

    def draws_later(self, problem: Problem, data: HeldData, loan: Loan, standing: Standing) -> bool:
        """Whether a later batch was found to draw random numbers, which the first did not tell.

        The first batch is looked at where it was not yet. All batches are, once, and only if
        generators moved: to do so costs more than a point. Another thread may have moved them.

        Args:
            problem: What is measured.
            data: Its samples, in the batches that it is measured in.
            loan: The model, at its own weights.
            standing: Where the generators stood before the measurement; put back if it is found.

        Raises:
            ValueError: If one does, and no common random numbers were given.
        """
        nature, common = self.nature_of(problem, loan, whole=False), problem.common_random_numbers
        try:
            if self.nature_of(problem, loan) is not nature:
                standing.put_back()
                return True
            if self._learns_more(problem, loan, nature):
                return True
            if self.looked_at >= data.size or nature.draws or not standing.moved:
                return False
            with arithmetic(problem.precision, problem.device):
                for batch, _ in data.batches():
                    found = look_again(loan, problem.metrics, batch, nature, common=common)
                    if found is not nature:
                        self.nature = found
                        standing.put_back()
                        return True
        except ValueError:
            standing.put_back()
            raise
        self.looked_at = data.size
        return False

    def _learns_more(self, problem: Problem, loan: Loan, nature: Nature) -> bool:
        """Whether whole sequences assign what a few tokens did not, and that matters."""
        if loan.stream is None or self.looked_whole or not loan.modules_put_back():
            return False
        self.looked_whole, self.nature = True, problem.look(loan, shortly=False)
        return (self.nature.alone, self.nature.kept) != (nature.alone, nature.kept)
