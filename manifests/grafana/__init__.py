"""The Grafana dashboards, as typed code.

In: the catalogues that ship, the alert rules on what they score, and the names of the metrics. Out: a JSON file a
dashboard in `dashboards/`, which is what Grafana reads; `make dashboards` writes them, and a test keeps them equal to
this code. They are of Grafana 11.6's form, which later versions read too. They ask a Prometheus that scrapes Nodescore
and the nodes; one row of the dashboard of a single node asks a TimescaleDB, where there is one.
"""
