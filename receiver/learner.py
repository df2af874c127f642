"""A model that learns beside the one in use what it would remember had it been in use itself.

In: the scores that the pipeline stores, from an hour ago on, in the order in which they were made. Out: states of every
node that know of every row, and for each row the score that this model would have given. A node that was learnt anew is
learnt from there on only, as the pipeline did it.

Raises what reading the embedded file raises. Used by one thread at a time; costs some 3 µs a row and the states of all
nodes. `close` it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from receiver.columns import Scores
from receiver.detector import Detector, NodeStates
from receiver.pipeline import WARM_UP_SECONDS, Pipeline
from receiver.store.reader import EmbeddedReader

# Rows that are read and stepped at once beside the pipeline: some 2 ms.
BLOCK_ROWS = 500
# How long this thread keeps the interpreter while another one waits for it, instead of 5 ms: a request is handed on
# between threads some ten times, and would wait so long each time.
SWITCH_SECONDS = 0.0005


@contextmanager
def giving_way() -> Iterator[None]:
    """While blocks are stepped, one after the other, other threads wait for `SWITCH_SECONDS` at most."""
    usual_seconds = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_seconds)


class Learner:
    """Of one model beside one pipeline, from `wall_ms` on."""

    def __init__(self, pipeline: Pipeline, detector: Detector, wall_ms: int) -> None:
        self.states = NodeStates(detector)
        self.learnt_since_ms = dict(pipeline.learnt_since_ms)
        self._reader = EmbeddedReader.open(pipeline.store.path, pipeline.catalogue)
        self.seen = self._reader.before_scores_of(wall_ms - WARM_UP_SECONDS * 1000)  # the last change that was stepped

    def step(self) -> tuple[bool, Scores, Scores]:
        """Step the next block; whether more may wait behind it, and as `learn`."""
        self.seen, given = self._reader.scored_after(self.seen, BLOCK_ROWS)
        return len(given) == BLOCK_ROWS, *self.learn(given)

    def learn(self, given: Scores) -> tuple[Scores, Scores]:
        """Step rows that were scored; of those that the states were not past, the scores given and this model's."""
        new = given.time_ms > self.states.last_ms(given.node)
        if self.learnt_since_ms:
            since_ms = np.array([self.learnt_since_ms.get(node, 0) for node in given.node.tolist()], np.int64)
            new &= given.time_ms >= since_ms
        given = given.where(new)
        return given, self.states.score(given.rows())

    def follow(self, learnt_since_ms: dict[int, int], wall_ms: int) -> None:
        """Forget what was usual on the nodes that were learnt anew since, and learn it from their stored rows."""
        for node, since_ms in learnt_since_ms.copy().items() - self.learnt_since_ms.items():
            self.states.forget(node)
            self.learnt_since_ms[node] = since_ms
            begin_ms = max(since_ms, wall_ms - WARM_UP_SECONDS * 1000)
            for past in self._reader.read_scores(begin_ms, wall_ms + 1, [node]):
                self.states.score(past.rows())

    def close(self) -> None:
        """Give up the file."""
        self._reader.close()
