"""What retraining imports: the extra `train`, and not what scenarios need to make nodes."""

from __future__ import annotations

import subprocess
import sys


def test_retraining_needs_nothing_of_what_makes_nodes() -> None:
    without = "import sys; sys.modules['mfusepy'] = None; import models.retraining.run, models.ship"
    subprocess.run([sys.executable, "-c", without], check=True)
