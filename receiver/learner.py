"""A model that learns beside the one in use what it would remember had it been in use itself.

In: the scores that the pipeline stores, in the order in which they were made: first those of a past as long as
`reach_rows` and `LOOK_BACK_SECONDS` allow, then what comes. Out: states of every node that know of every row, and for
each row the score that this model would have given. A node that was learnt anew is learnt from there on only, as the
pipeline did it. One that is over the threshold at the end of the past, though the model in use holds it for usual, has
changed within it; what is usual stands still there, so it begins anew from its last hour.

Raises what reading the embedded file raises. Used by one thread at a time; costs `ROW_SECONDS` a row, `STEP_SECONDS`
for each time at which there are rows, and the states of all nodes. `close` it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from receiver.columns import Scores
from receiver.detector import Detector, NodeStates
from receiver.pipeline import Pipeline
from receiver.store.embedded import EmbeddedReader

# A new model looks back on a week at most, in which each hour of the day has come seven times, and as far as so much
# work reaches: a replica is to follow within 10 s.
LOOK_BACK_SECONDS = 7 * 86_400
LOOK_BACK_WORK_SECONDS = 6.0
# What it costs to read and step a row, and the rows of one time, whatever their number.
ROW_SECONDS, STEP_SECONDS = 3e-6, 140e-6
# A node that begins anew is learnt from so much of its stored past.
ANEW_SECONDS = 3600
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


def reach_rows(nodes: int) -> int:
    """How many rows of so many nodes are stepped in `LOOK_BACK_WORK_SECONDS`."""
    return round(LOOK_BACK_WORK_SECONDS / (ROW_SECONDS + STEP_SECONDS / min(max(nodes, 1), BLOCK_ROWS)))


class Learner:
    """Of one model beside one pipeline, from `wall_ms` on."""

    def __init__(self, pipeline: Pipeline, detector: Detector, wall_ms: int) -> None:
        self.states = NodeStates(detector)
        self.learnt_since_ms = dict(pipeline.learnt_since_ms)
        self._reader = EmbeddedReader.open(pipeline.store.path, pipeline.catalogue)
        most = reach_rows(pipeline.table.live_nodes)
        self.seen = self._reader.before_scores_of(wall_ms - LOOK_BACK_SECONDS * 1000, most)  # the change stepped last
        self._looking_back = True
        self._over_there: set[int] = set()  # nodes that the scores given hold for unusual
        self._over_here: set[int] = set()  # and those that this model does

    def step(self) -> tuple[bool, Scores, Scores]:
        """Step the next block; whether more may wait behind it, and as `learn`."""
        self.seen, given = self._reader.scored_after(self.seen, BLOCK_ROWS)
        more = len(given) == BLOCK_ROWS
        given, scores = self.learn(given)
        if self._looking_back:
            self._over_there = _over(given, self._over_there)
            self._over_here = _over(scores, self._over_here)
            if not more:
                self._looking_back = False
                self._begin_anew(self._over_here - self._over_there)
        return more, given, scores

    def learn(self, given: Scores) -> tuple[Scores, Scores]:
        """Step rows that were scored; of those that the states were not past, the scores given and this model's."""
        new = given.time_ms > self.states.last_ms(given.node)
        if self.learnt_since_ms:
            since_ms = np.array([self.learnt_since_ms.get(node, 0) for node in given.node.tolist()], np.int64)
            new &= given.time_ms >= since_ms
        given = given.where(new)
        return given, self.states.score(given.rows())

    def follow(self, learnt_since_ms: dict[int, int]) -> None:
        """Forget what was usual on the nodes that were learnt anew since, and learn it from their stored rows."""
        anew = dict(learnt_since_ms.copy().items() - self.learnt_since_ms.items())
        self.learnt_since_ms |= anew
        self._begin_anew(set(anew))

    def _begin_anew(self, nodes: set[int]) -> None:
        """Learn what is usual on these nodes from the last hour of what has been stepped, and from nothing before."""
        if not nodes:
            return
        node = np.array(sorted(nodes), np.int32)
        until_ms = int(self.states.last_ms(node).max()) + 1
        for one in nodes:
            self.states.forget(one)
        for past in self._reader.read_scores(until_ms - ANEW_SECONDS * 1000, until_ms, node.tolist()):
            self.learn(past)

    def close(self) -> None:
        """Give up the file."""
        self._reader.close()


def _over(scores: Scores, before: set[int]) -> set[int]:
    """The nodes that are over the threshold at their last row, given those that were before these rows."""
    node, last = np.unique(scores.node[::-1], return_index=True)
    over = scores.score[::-1][last] > 1
    return before - set(node.tolist()) | set(node[over].tolist())
