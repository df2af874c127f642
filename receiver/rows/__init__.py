"""Samples → rows.

assembler   which samples make a row, and when it leaves
arriving    the loops over samples that come in
leaving     the loops over rows that leave; departure is what they fill
forgetting  series that are let go of
held        what the loops go over: arrays of series, targets, rows and cells; rings are the lists in them
"""

from receiver.rows.assembler import Assembler, Timing
from receiver.rows.departure import Departure, Leaving, Sums

__all__ = ["Assembler", "Departure", "Leaving", "Sums", "Timing"]
