"""Where samples wait, where rows stay, and what everything else reads.

`embedded.EmbeddedStore` (SQLite, one file) is journal, store and outbox in one, and always there; other threads and
processes read the same file through `embedded.EmbeddedReader`. `timescale.TimescaleStore` is where finished rows go on
to, through `outbox.Outbox`, where one is configured; importing that package needs the extra `timescale`. Both stores
satisfy `RowStore`, and one test suite runs on both. All methods raise `StoreUnavailable` when the disk or the server
does not answer, those of the embedded file `StoreDamaged` when SQLite gives it up; none is called from the event loop's
thread.

Versions of the model are beside them, in `embedded.EmbeddedModels` or `timescale.TimescaleModels`, which satisfy
`ModelStore`.
"""

from receiver.store.models import Activation, ModelStore, ModelVersion, Shadowing
from receiver.store.mutes import Mute
from receiver.store.protocol import (
    Finished,
    JournalRecord,
    Label,
    Moment,
    NewSeries,
    Peak,
    RowReader,
    RowStore,
    StateReader,
    States,
    Verdict,
)

__all__ = [
    "Activation",
    "Finished",
    "JournalRecord",
    "Label",
    "ModelStore",
    "ModelVersion",
    "Moment",
    "Mute",
    "NewSeries",
    "Peak",
    "RowReader",
    "RowStore",
    "Shadowing",
    "StateReader",
    "States",
    "Verdict",
]
