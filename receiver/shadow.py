"""A candidate that scores beside the active model, so that one sees what it would do before it is activated.

`step` is called again and again, on the changeover's thread: it asks the store of versions which candidate shall score
in the shadow, and has it score what the pipeline has stored, in blocks, from as far back as a `Learner` looks. So each
row is scored by both, a few seconds apart, and the pipeline knows nothing of it. What the candidate says is exposed
beside the active model's scores and counted against it, and goes nowhere else: nothing is stored of it, and it raises
no alert. The model that is activated takes over what its shadow knows.

`step` never raises. A candidate that cannot be loaded, fails on a row, or stays behind for ten minutes is given up,
with a line in the log and in `nodescore_shadow_failures_total`, until another entry of the shadow's log.

Costs the CPU of the active model's scoring once more, and as much again to read the rows: with the model that ships
8 µs a row, which is half a hundredth of a core for 5,000 nodes at 10 s. It takes a third of a core at most, while it
catches up. Memory: the states of every node once more, 2 MiB for them.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Protocol

import numpy as np

from receiver.clocks import Clocks
from receiver.columns import Scores
from receiver.detector import Detector
from receiver.errors import ModelError, NodescoreError, StoreDamaged, StoreUnavailable
from receiver.exposition import ShadowScores
from receiver.learner import Learner, giving_way
from receiver.pipeline import Pipeline
from receiver.store import Shadowing

# Of work before the active model is looked after again; the changeover waits twice as long in between.
TURN_MS = 1000
# An hour of 5,000 nodes is stepped in a minute, as a third of a core goes; what takes ten is no candidate for them.
MAX_BEHIND_MS = 600_000

log = logging.getLogger(__name__)


class ShadowSource(Protocol):
    """Where it is said which candidate scores in the shadow."""

    def shadowing(self) -> Shadowing | None:
        """The last entry of the shadow's log."""

    def load(self, version: str) -> Detector:
        """The checked model of a version."""


class Shadow:
    """Of one pipeline; used by one thread at a time."""

    def __init__(self, pipeline: Pipeline, source: ShadowSource, clocks: Clocks) -> None:
        self.version = ""  # that scores
        self.fault = ""  # why the one that shall score does not
        self._pipeline = pipeline
        self._source = source
        self._clocks = clocks
        self._entry: Shadowing | None = None  # of the shadow's log, that is followed
        self._learner: Learner | None = None
        self._level = False  # whether it has scored all there was
        self._level_ms = 0  # when it last had
        self._shown = ShadowScores.empty("", "")

    def step(self) -> None:
        """Look which candidate shall score, and have it score for a while."""
        try:
            with suppress(StoreUnavailable, StoreDamaged):  # which `Changeover.fault` says; the candidate goes on
                self._look()
            if self._learner is not None:
                self._go_on(self._learner)
        except NodescoreError as error:
            self._give_up(str(error))
        except Exception as error:
            log.exception("the candidate in the shadow fails")
            self._give_up(f"internal error: {type(error).__name__}")

    def take(self, detector: Detector) -> Learner | None:
        """What the shadow of a model that is activated knows, for it to go on with; the caller closes it."""
        learner = self._learner
        if learner is None or learner.states.detector.info.sha256 != detector.info.sha256:
            return None
        self._learner = None
        self.end()
        return learner

    def end(self) -> None:
        """Have none score in the shadow."""
        if self._learner is not None:
            self._learner.close()
        self._learner, self.version, self.fault = None, "", ""
        self._pipeline.exposition.show_shadow(None)

    def _look(self) -> None:
        entry = self._source.shadowing()
        if entry is None or entry == self._entry:
            return
        self.end()
        if entry.version == self._pipeline.states.detector.info.version:
            self._entry = None  # looked at again: another one may be about to take over
            return
        self._entry = entry
        if not entry.version:
            return
        try:
            detector = self._source.load(entry.version)
        except StoreUnavailable:
            self._entry = None  # tried again
            raise
        self._learner = Learner(self._pipeline, detector, self._clocks.wall_ms())
        self.version = entry.version
        self._level, self._level_ms = False, self._clocks.steady_ms()
        self._shown = ShadowScores.empty(entry.version, detector.info.detector)
        log.info("model %s scores in the shadow", entry.version)

    def _go_on(self, learner: Learner) -> None:
        learner.follow(self._pipeline.learnt_since_ms)
        began_ms, more = self._clocks.steady_ms(), True
        with giving_way():
            while more and self._clocks.steady_ms() - began_ms < TURN_MS:
                more, given, scores = learner.step()
                if learner.states.failed_rows:
                    raise ModelError(f"model {self.version}: fails on rows of the nodes")
                self._shown = self._shown.after(scores)
                if self._level:
                    self._count(given, scores)
        self._shown = self._shown.since(learner.states.forget_silent(self._clocks.wall_ms()))
        self._pipeline.exposition.show_shadow(self._shown)
        if not more:
            self._level, self._level_ms = True, self._clocks.steady_ms()
        elif self._clocks.steady_ms() - self._level_ms > MAX_BEHIND_MS:
            raise ModelError(f"model {self.version}: is too slow for these nodes")

    def _count(self, given: Scores, scores: Scores) -> None:
        """How both agree on the rows of a block."""
        for active in (False, True):
            for shadow in (False, True):
                rows = np.count_nonzero(((given.score > 1) == active) & ((scores.score > 1) == shadow))
                self._pipeline.metrics.shadow_rows[active, shadow].inc(int(rows))

    def _give_up(self, why: str) -> None:
        self.end()
        self.fault = why
        self._pipeline.metrics.shadow_failures.inc()
        log.warning("no candidate scores in the shadow: %s", why)
