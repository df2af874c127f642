"""Another model takes over while the service runs: between two batches, without a score lost, doubled or mixed.

`Changeover.run` is the body of a thread of its own. It asks a source (the store of versions, or a fixed file) whether
another model shall be used. The new model first learns, on a copy, what it would remember had it been in use: the
stored rows are stepped again, as far back as a `Learner` looks, in the order in which they were scored, and then what
has come meanwhile. What was scored since the last look is stepped on the pipeline's thread, and then the pipeline goes
on with the new states. So each row is scored once, by one model, and the new one knows of the rows before it.

Where the new model cannot be used, `fault` says why, and the one in use stays. Costs what a `Learner` costs on this
thread, which lets go of the interpreter between blocks; on the pipeline's, some 20 ms at most. Memory: the states of
both models. Between two looks, this thread has the candidate in the shadow score, where there is one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Protocol

from receiver.clocks import Clocks
from receiver.detector import Detector
from receiver.drift import Drift
from receiver.errors import ModelError, NodescoreError, Unavailable
from receiver.learner import Learner, giving_way
from receiver.pipeline import Pipeline
from receiver.shadow import Shadow

# Between two looks at the source. With the warm-up, a replica follows within 10 s.
LOOK_SECONDS = 2.0
# Rows that are stepped on the pipeline's thread at most: what 5,000 nodes send in two seconds.
LAST_ROWS = 1000

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where another model may come from."""

    def poll(self, now_ms: int) -> Detector | None:
        """The model to go on with; None where it is the one in use. Raises `ModelError` while it cannot be used."""

    def taken(self, detector: Detector) -> None:
        """It is in use now."""

    def close(self) -> None:
        """Give up what is held open."""


class Changeover:
    """Of one pipeline; `order` has something done on its thread."""

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source,
        order: Callable[[Callable[[], None]], None],
        clocks: Clocks,
        shadow: Shadow | None = None,
    ) -> None:
        self.stopping = False
        self.fault = ""  # why another model is not in use, or not known
        self._pipeline = pipeline
        self._source = source
        self._order = order
        self._clocks = clocks
        self._shadow = shadow
        self.changing = threading.Lock()  # held while the pipeline's states are replaced
        self._one_at_a_time = threading.Lock()
        self._look_now = threading.Event()

    def run(self) -> None:
        """Look, again and again, until `stop`."""
        while not self.stopping:
            try:
                self.step()
            except NodescoreError as error:
                if str(error) != self.fault:
                    log.warning("the model in use stays: %s", error)
                self.fault = str(error)
            except Exception as error:
                log.exception("going on with another model failed")
                self.fault = f"internal error: {type(error).__name__}"
            if self._shadow is not None and not self.stopping:
                with self._one_at_a_time:
                    self._shadow.step()
            self._look_now.wait(LOOK_SECONDS)
            self._look_now.clear()
        self._source.close()
        if self._shadow is not None:
            self._shadow.end()

    def look_now(self) -> None:
        """Have the thread look without waiting."""
        self._look_now.set()

    def stop(self) -> None:
        """Have `run` return soon."""
        self.stopping = True
        self._look_now.set()

    def step(self) -> None:
        """Look once, and go on with another model where there is one. Raises why that cannot be."""
        with self._one_at_a_time:
            try:
                detector = self._source.poll(self._clocks.wall_ms())
            except ModelError as error:
                if str(error) != self.fault:
                    self._pipeline.metrics.model_load_failures.inc()
                raise
            if detector is not None:
                with self.changing:
                    self._change_to(detector)
                self._source.taken(detector)
            self.fault = ""

    def _change_to(self, detector: Detector) -> None:
        learner = self._shadow.take(detector) if self._shadow is not None else None
        learner = learner or Learner(self._pipeline, detector, self._clocks.wall_ms())
        with closing(learner), giving_way():
            drift = Drift(detector.info)
            learner.follow(self._pipeline.learnt_since_ms)
            done = False
            while not done:
                self._catch_up(learner)
                done = self._finish(learner, drift)
        log.info("model %s is in use", detector.info.version)

    def _finish(self, learner: Learner, drift: Drift) -> bool:
        """On the pipeline's thread: step what is left, and change; False where too much is left."""
        done = False

        def change() -> None:
            nonlocal done
            self._pipeline.store_pending()
            _, given = self._pipeline.store.scored_after(learner.seen, LAST_ROWS + 1)
            if len(given) <= LAST_ROWS:
                learner.learn(given)
                self._pipeline.go_on_with(learner.states, drift)
                done = True

        self._order(change)
        return done

    def _catch_up(self, learner: Learner) -> None:
        """Step what was scored until little is left."""
        more = True
        while more:
            if self.stopping:
                raise Unavailable("Nodescore is stopping", retry_after_seconds=1)
            more, _, _ = learner.step()
