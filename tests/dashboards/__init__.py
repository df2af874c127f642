"""The Grafana dashboards: what is written is what the code says, and every query answers."""
