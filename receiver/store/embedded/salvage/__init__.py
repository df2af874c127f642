"""A damaged embedded file: what it still has, brought into a new one.

`rescue` reads the file's `pages` and its log (`wal`) without SQLite, finds rows in them (`cells`), tells of which table
they are (`recognize`), and fills a new file with them (`refill`).
"""

from receiver.store.embedded.salvage.rescue import complete, salvage

__all__ = ["complete", "salvage"]
