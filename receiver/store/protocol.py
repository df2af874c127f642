"""What passes between the pipeline and a store, and the one protocol that every store satisfies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from receiver.columns import Float32, Int32, Int64, NodeName, Rows, Samples, Scores
from receiver.store.mutes import Mute

Verdict = Literal["TP", "FP", "TN", "FN"]


@dataclass(frozen=True, slots=True)
class NewSeries:
    """A kept series that the journal has not named yet, by its number; its labels are sorted by name."""

    id: int
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """The kept samples of one request, as they are written before it is acknowledged."""

    received_ms: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class Finished:
    """What one flush writes, in one transaction."""

    rows: Rows  # new or re-made: a value here wins over a stored one, a missing one never does; x is not read
    fills: Rows  # late pieces: a value here is taken only where the stored row lacks it; x is not read
    scores: Scores  # a row is scored once: a score that is stored stays
    model_version: str
    consumed_seq: int  # every sample of the journal's records up to this one is in rows now


@dataclass(frozen=True, slots=True)
class States:
    """The detector's state of N nodes, each as it was after the node's row at `time_ms`."""

    model_version: str
    node: Int32  # [N]
    time_ms: Int64  # [N]
    state: Float32  # [N, S]


@dataclass(frozen=True, slots=True)
class Moment:
    """The row of a label's interval that had the highest score: what the label is about, kept after the row is gone."""

    time_ms: int
    features: tuple[str, ...]
    x: tuple[float | None, ...]  # the vector that the model saw; None for missing
    contribution: tuple[float | None, ...] | None  # None where none was computed


@dataclass(frozen=True, slots=True)
class Label:
    """An interval of a node that somebody has marked: start ≤ t ≤ end; one revision of it.

    Revisions of a label have one key; the one with the highest number holds. Nothing of a revision ever changes.
    """

    name: NodeName
    start_ms: int
    end_ms: int
    attack: bool
    verdict: Verdict | None  # what the alert was, where the label speaks of an alert
    details: str
    author: str
    created_ms: int
    id: int = 0  # of the revision, given by the store
    # The highest score in the interval and the model that gave it, as the label's author saw them. The store
    # fills them in where they are None and it has a score.
    score: float | None = None
    model_version: str | None = None
    moment: Moment | None = None
    key: str = ""  # given by the store to the first revision: the same in every store
    revision: int = 1
    withdrawn: bool = False  # by this revision: the label says nothing any more


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest score of a node in a while."""

    name: NodeName
    time_ms: int
    score: float


class RowReader(Protocol):
    """Rows, scores, labels and mutes, read in time order. Node ids are the store's own: `nodes` names them."""

    def nodes(self) -> dict[int, NodeName]:
        """The names of all node ids that rows use."""

    def read_rows(self, since_ms: int, until_ms: int, nodes: Sequence[int] | None = None) -> Iterator[Rows]:
        """Rows with since ≤ time < until in blocks of bounded size, by (time, node); x is NaN where not scored."""

    def read_scores(self, since_ms: int, until_ms: int, nodes: Sequence[int] | None = None) -> Iterator[Scores]:
        """Scores with since ≤ time < until in blocks of bounded size, by (time, node)."""

    def add_label(self, label: Label) -> int:
        """Keep a label; the id that it got. A label that is stored already keeps its id."""

    def revise_label(self, label: Label) -> int:
        """Keep a later revision; the id that it got. Raises `Conflict` where it does not follow the newest one."""

    def scored(self, label: Label) -> Label:
        """The label with the highest score of its interval, where it has none yet and the store has one."""

    def labels(self, since_ms: int, until_ms: int) -> list[Label]:
        """Labels that hold now and touch since ≤ t < until, by start."""

    def label_history(self, key: str) -> list[Label]:
        """All revisions of a label, the one that holds last; none where there is no such label."""

    def add_mute(self, mute: Mute) -> None:
        """Keep an entry; one that is there already stays as it is."""

    def mutes(self, since_ms: int) -> list[Mute]:
        """The entries that were made since then, in their order; the last `MUTES_READ`."""

    def scored_around(self, name: NodeName, start_ms: int, end_ms: int) -> tuple[int | None, int | None]:
        """The times of a node's last score before an interval, and of its first one after it."""

    def highest_below(self, since_ms: int, until_ms: int, most: int) -> list[Peak]:
        """Of the nodes that were never over the threshold in since ≤ time < until, those that came nearest to it."""

    def close(self) -> None:
        """Give up files and connections."""


class StateReader(RowReader, Protocol):
    """A store that has states too."""

    def load_states(self, model_version: str, nodes: Sequence[int]) -> States:
        """The states that this model left of these nodes."""


class RowStore(RowReader, Protocol):
    """A store that is also written to, idempotently."""

    def save_states(self, states: States) -> None:
        """Keep each node's newest state; the nodes are named."""

    def forget_states(self, before_ms: int) -> None:
        """Delete the states of nodes whose last row is older, of whatever model."""

    def add_nodes(self, nodes: Mapping[int, NodeName]) -> None:
        """Name the node ids that later writes use."""

    def write(self, finished: Finished) -> None:
        """Upsert rows, fills and scores in one transaction. Writing the same again changes nothing."""

    def delete_before(self, time_ms: int) -> int:
        """Delete rows and scores that are older, as far as one short step goes. Labels stay.

        Returns how many rows (TimescaleDB: chunks) went; call it again while that is not 0.
        """
