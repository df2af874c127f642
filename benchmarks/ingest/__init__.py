"""Nodescore beside Prometheus and VictoriaMetrics as a receiver of the same requests: `python -m benchmarks.ingest`."""
