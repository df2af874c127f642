"""Samples → rows.

assembler   which samples make a row, and when it leaves
held        rows and targets while they are held
memory      what is known of each series from row to row
"""

from receiver.rows.assembler import Assembler, Departure, Timing

__all__ = ["Assembler", "Departure", "Timing"]
