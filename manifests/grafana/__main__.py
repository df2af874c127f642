"""Write the dashboards' JSON: `python -m manifests.grafana`."""

from __future__ import annotations

from manifests.grafana.written import FOLDER, texts

if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
