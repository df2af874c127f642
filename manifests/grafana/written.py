"""The dashboards as the text of their files."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import RowPanel

from manifests.grafana import detail, overview, service
from manifests.grafana.scored import SCORED

FOLDER = Path(__file__).parent / "dashboards"


def texts() -> dict[str, str]:
    """By the name of its file, the JSON of each dashboard."""
    pairs = [(of.overview, overview.dashboard(of)) for of in SCORED] + [(of.one, detail.dashboard(of)) for of in SCORED]
    return {name: _text(built) for name, built in (*pairs, ("service", service.dashboard()))}


def _text(builder: Dashboard) -> str:
    built = builder.build()
    number = 0
    for panel in built.panels or []:
        # Grafana would number them at each load, and a link to a panel would be one to another panel.
        for one in [panel, *(panel.panels if isinstance(panel, RowPanel) else [])]:
            number += 1
            one.id_val = number
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
