"""Samples → rows.

assembler   which samples make a row, and when it leaves
departure   rows that leave
passes      the loops over samples and rows
forgetting  series that are let go of
held        what the loops go over: arrays of series, targets, rows and cells
"""

from receiver.rows.assembler import Assembler, Timing
from receiver.rows.departure import Departure, Leaving, Sums

__all__ = ["Assembler", "Departure", "Leaving", "Sums", "Timing"]
