"""What an alert is: the one definition, for the pages, for calibration and evaluation, and for the shipped alert rule.

An alert of a node is *raised* at the first row where `OVER_ROWS` of the last `OF_ROWS` scores are over the threshold.
It is *open* from there until `CLEAR_ROWS` rows in a row are not.
"""

from __future__ import annotations

OVER_ROWS = 2
OF_ROWS = 3
CLEAR_ROWS = 3
