"""Samples → rows.

assembler   which samples make a row, and when it leaves
arriving    the loops over samples that come in
leaving     the loops over rows that leave; departure is what they fill
letting_go  rows that are held no longer
forgetting  series that are let go of
tail        the journal's records that a restart rebuilds all of this from
held        what the loops go over: arrays of series, targets, rows and cells; rings are the lists in them
"""

from receiver.rows.assembler import Assembler, Room, Timing
from receiver.rows.departure import Departure, GivenUp, Leaving, Sums
from receiver.rows.held import TORN_HORIZON_MS
from receiver.rows.tail import Tail

__all__ = ["TORN_HORIZON_MS", "Assembler", "Departure", "GivenUp", "Leaving", "Room", "Sums", "Tail", "Timing"]
