"""The embedded store: one SQLite file for samples and rows, one for versions of the model.

The file's only writer is `store`, which writes its samples by `journal`; `reader` is for everybody else, and `pending`
for the outbox. `schema` makes the tables, `statements` writes to them, `queries` reads them. A file that SQLite gives
up goes through `salvage`.
"""

from receiver.store.embedded.models import EmbeddedModels
from receiver.store.embedded.reader import EmbeddedReader
from receiver.store.embedded.store import EmbeddedStore

__all__ = ["EmbeddedModels", "EmbeddedReader", "EmbeddedStore"]
