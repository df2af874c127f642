"""The Grafana dashboards, as typed code.

In: the catalogue of the node features, and the names of the metrics. Out: a JSON file a dashboard in `dashboards/`,
which is what Grafana reads; `make dashboards` writes them, and a test keeps them equal to this code. They are of
Grafana 11.6's form, which later versions read too. They ask a Prometheus that scrapes Nodescore and the nodes; one row
of the node's dashboard asks a TimescaleDB, where there is one.
"""
