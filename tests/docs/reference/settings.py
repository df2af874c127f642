"""Every setting, of its own description."""

from __future__ import annotations

from collections.abc import Iterator

from receiver.settings import ENVIRONMENT_PREFIX, Settings
from tests.docs.reference.markdown import code, table

HEAD = """\
# Settings

A flag of the command line, a variable of the environment, or a line of the TOML file named by `--config` or
`NODESCORE_CONFIG`, in this order. `nodescore check` tries them and changes nothing. Only `listen`, `data_dir`, `store`,
`model` and `web_config` have flags.

"""


def page() -> str:
    """A row for each setting, with its environment variable, its default and what it means."""
    return HEAD + table(["setting", "variable", "default", "meaning"], _rows())


def _rows() -> Iterator[list[str]]:
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, {}) else code(str(field.default))
        yield [code(name), code(f"{ENVIRONMENT_PREFIX}{name.upper()}"), default, field.description or ""]
