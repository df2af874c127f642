"""The page at `/data`, where a labelled table is chosen, and `/export`, which gives it.

What is given is what `nodescore export` writes, by that command; what it refuses is said on the page, with what was
chosen. Nothing is changed, so that a link may ask for a table.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from receiver.errors import DataError
from receiver.web.export_process import Export, Exports
from receiver.web.feedback import MAX_NAME_CHARACTERS, MAX_TIME_CHARACTERS
from receiver.web.instants import format_instant
from receiver.web.protocol import Service
from receiver.web.rendering import environment, page

# 23 days of ten nodes at 10 s, and 400 MB as CSV; the command has no limit.
MAX_ROWS = 2_000_000
# Of an address: names that one types.
MAX_NODES_CHARACTERS = 20 * MAX_NAME_CHARACTERS
VALUES = {
    "raw": "as they were scraped: the paper's Table 2",
    "zscore": "z-scored over the chosen rows: the paper's Table 3",
    "inputs": "as a detector sees them: rates, shares, values",
}
FORMATS = {"csv": "CSV", "parquet": "Parquet"}
TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


class Chosen(BaseModel):
    """The table that somebody wants."""

    model_config = ConfigDict(extra="forbid")

    since: str = Field("-24h", max_length=MAX_TIME_CHARACTERS)
    until: str = Field("now", max_length=MAX_TIME_CHARACTERS)
    nodes: str = Field("", max_length=MAX_NODES_CHARACTERS)
    interval: str = Field("", max_length=MAX_TIME_CHARACTERS)
    values: Literal["raw", "zscore", "inputs"] = "raw"
    format: Literal["csv", "parquet"] = "csv"

    def arguments(self) -> list[str]:
        """For the command; each in one piece, so that no text can be another option."""
        given = [f"--since={self.since}", f"--until={self.until}", f"--format={self.format}", f"--records={MAX_ROWS}"]
        given += [f"--node={node}" for node in self.nodes.replace(",", " ").split()]
        given += [f"--interval={self.interval}"] if self.interval.strip() else []
        return given + ([] if self.values == "raw" else [f"--{self.values}"])


class Download(StreamingResponse):
    """A table on its way; its process ends with the answer, however that ends."""

    def __init__(self, export: Export, **options: Any) -> None:
        super().__init__(export.chunks(), **options)
        self._export = export

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._export.close()


def router(service: Service) -> APIRouter:
    """`/data` and `/export`."""
    routes = APIRouter(include_in_schema=False)
    template = environment(service.catalogue.name).get_template("data.html")
    exports = Exports(service.settings)

    def show(chosen: Chosen, fault: str = "", status: int = 200) -> HTMLResponse:
        body = template.render(
            given=chosen,
            fault=fault,
            values=VALUES,
            formats=FORMATS,
            features=service.catalogue.features,
            max_rows=MAX_ROWS,
        )
        return page(body, status)

    @routes.get("/data")
    def data(chosen: Annotated[Chosen, Query()]) -> HTMLResponse:
        return show(chosen)

    @routes.get("/export")
    async def export(chosen: Annotated[Chosen, Query()]) -> Response:
        try:
            begun = await exports.start(chosen.arguments())
        except DataError as error:
            return show(chosen, str(error), 400)
        moment = format_instant(service.now_ms() // 1000 * 1000).replace(":", "")
        name = f"nodescore-{chosen.values}-{moment}.{chosen.format}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Download(begun, media_type=TYPES[chosen.format], headers=headers)

    return routes
