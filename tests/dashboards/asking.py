"""The dashboards' queries, asked as Grafana asks them: of a Prometheus and of a TimescaleDB.

In: queries as they are written, and what they are about. Out: nothing, or an AssertionError that names those that never
gave data. An answer without a row is none; a query that is refused is an error at once.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg

from tests.dashboards.reading import Asked, filled
from tests.servers.process import wait_until
from tests.servers.prometheus import get


@dataclass(frozen=True)
class Shown:
    """What dashboards show: one node of one cluster, or one of what else is scored, in the last seconds."""

    prometheus_url: str
    database: psycopg.Connection
    names: Mapping[str, str]  # of the chosen ones, by the variable, which is also the dashboard
    cluster: str
    interval_seconds: int  # of scrapes
    rate_seconds: int  # over which rates are taken
    seconds: int

    def gives_data(self, one: Asked) -> bool:
        """Whether the answer has anything in it."""
        now = time.time()
        api = f"{self.prometheus_url}/api/v1"
        if one.kind == "sql":
            return self.database.execute(self._sql(one.text, now).encode()).fetchone() is not None
        values = self._values(one)
        if one.kind == "values":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", one.text)
            assert found
            return bool(get(f"{api}/label/{found[2]}/values", **{"match[]": filled(found[1], values)})["data"])
        expr = filled(one.text, values)
        if one.ranged:
            times = {"start": f"{now - self.seconds:.3f}", "end": f"{now:.3f}", "step": f"{self.interval_seconds}"}
            return bool(get(f"{api}/query_range", query=expr, **times)["data"]["result"])
        return bool(get(f"{api}/query", query=expr)["data"]["result"])

    def _values(self, one: Asked) -> Mapping[str, str]:
        return {
            **self.names,
            # Where none is chosen a panel shows all there is, as "All" does.
            "cluster": self.cluster if one.where.split()[0] in self.names else ".*",
            "node_label": "node",
            "job": ".*",
            "instance": ".*",
            "__interval": f"{self.interval_seconds}s",
            "__rate_interval": f"{self.rate_seconds}s",
            "__range": f"{self.seconds}s",
        }

    def _sql(self, text: str, now: float) -> str:
        """What Grafana's Postgres data source makes of its macros and the variables."""
        since, until = f"to_timestamp({now - self.seconds})", f"to_timestamp({now})"
        text = re.sub(r"\$__timeFilter\(([\w.]+)\)", rf"\1 BETWEEN {since} AND {until}", text)
        text = text.replace("$__timeFrom()", since).replace("$__timeTo()", until)
        named = {variable: f"'{name}'" for variable, name in {**self.names, "cluster": self.cluster}.items()}
        return filled(text, {**named, "__interval": f"{self.interval_seconds}s"})


def ask_until_data(queries: Iterable[Asked], shown: Shown, empty: Mapping[str, str], within_seconds: float) -> None:
    """Each query, again and again until it has given data once; those in `empty` need not, for the reason there."""
    waiting = {one.where: one for one in queries}

    def answered() -> bool:
        for one in list(waiting.values()):
            if shown.gives_data(one):
                del waiting[one.where]
        return waiting.keys() <= empty.keys()

    try:
        wait_until(answered, "data for every query", within_seconds)
    except TimeoutError as error:
        raise AssertionError(f"no data: {sorted(waiting.keys() - empty.keys())}") from error


def post(nodescore_url: str, path: str, said: Mapping[str, str]) -> None:
    """Tell a Nodescore something, as its API takes it."""
    body = json.dumps(said).encode()
    request = urllib.request.Request(f"{nodescore_url}/api/v1/{path}", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()
