"""What each path is for: the one table that says which role a request needs.

`needed` takes a request's method and path, as the app routes them, and gives a role, `OPEN` where none is needed, or
None where nobody may: what has no line below is refused, so that a new route is closed until it has one. Costs a
look-up in a dict for the paths that senders and scrapes ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Role = Literal["write", "look", "label", "activate"]
Need = Role | Literal["open"]
Roles = frozenset[Role]

OPEN: Literal["open"] = "open"
ALL_ROLES: Roles = frozenset(get_args(Role))

# A path that ends with * stands for all that begin so; the longest one that fits counts.
NEEDS: Mapping[str, Mapping[str, Need]] = {
    "/-/healthy": {"GET": OPEN},
    "/-/ready": {"GET": OPEN},
    "/-/reload": {"POST": "activate"},
    "/": {"GET": "look"},
    "/metrics": {"GET": "look"},
    "/openapi.json": {"GET": "look"},
    "/static/*": {"GET": "look"},
    "/node": {"GET": "look"},
    "/labels": {"GET": "look"},
    "/label": {"GET": "look", "POST": "label"},
    "/feedback": {"GET": "look", "POST": "label"},
    "/mute": {"GET": "look", "POST": "label"},
    "/audit": {"GET": "look"},
    "/data": {"GET": "look"},
    "/export": {"GET": "look"},
    "/models": {"GET": "look"},
    "/activate": {"GET": "look", "POST": "activate"},
    "/rollback": {"GET": "look", "POST": "activate"},
    "/shadow": {"GET": "look", "POST": "activate"},
    "/api/v1/write": {"POST": "write"},
    "/api/v1/nodes": {"GET": "look"},
    "/api/v1/nodes/*": {"GET": "look"},
    "/api/v1/feedback": {"POST": "label"},
    "/api/v1/labels": {"GET": "look"},
    "/api/v1/labels/*": {"GET": "look", "PUT": "label", "DELETE": "label"},
    "/api/v1/mutes": {"GET": "look", "POST": "label"},
    "/api/v1/mutes/end": {"POST": "label"},
    "/api/v1/models": {"GET": "look"},
    "/api/v1/models/*": {"GET": "look", "POST": "activate"},
}


def needed(method: str, path: str) -> Need | None:
    """The role that a request needs; None where no role is enough."""
    methods = NEEDS.get(path) or _below(path)
    return methods.get("GET" if method == "HEAD" else method)


def _below(path: str) -> Mapping[str, Need]:
    fitting = [name for name in NEEDS if name.endswith("*") and path.startswith(name[:-1])]
    return NEEDS[max(fitting, key=len)] if fitting else {}
