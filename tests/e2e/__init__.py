"""The whole chain with every real server: node_exporter → Prometheus → Nodescore → TimescaleDB, Alertmanager."""
