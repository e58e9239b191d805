"""Numbers an engine's steps, so that memory which a step still uses isn't unmapped under it."""

from __future__ import annotations

from ..pool_facts import STEP_SYNC


class StepClock:
    """Counts steps from 1 as their batches are prepared.

    A block that is freed may be in the batch that was prepared last, whether that was submitted yet or not. So every free names that step; the
    worker says that it is done after it was submitted.
    """

    def __init__(self) -> None:
        self._prepared = 0

    def prepare(self) -> int:
        """A batch was prepared; gives its step."""
        self._prepared += 1
        return self._prepared

    @property
    def prepared(self) -> int:
        """The step that was prepared last; 0 before the first."""
        return self._prepared

    @property
    def last_step(self) -> int:
        """What a free names: the last prepared step, or, before the first, all work that was submitted (a warm-up runs outside of steps)."""
        return self._prepared or STEP_SYNC
