"""Every setting and every limit of the service, in one frozen object.

A setting comes from, first that has it: a flag of the command line, the environment (`NODESCORE_<NAME>`), the
TOML file named by `--config` or `NODESCORE_CONFIG`, the default here. `load` raises `SettingsError` with one line
that names every wrong setting. The reference of settings is made of the descriptions below, and a test
keeps it so.

Limits that no operator has a reason to change are constants, each with its unit and its reason.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from receiver.errors import ConfigurationError

ENVIRONMENT_PREFIX = "NODESCORE_"
# Catalogues that come with the package, as files of these names.
SHIPPED_CATALOGUES = ("node24", "application", "pod")

# What Prometheus's own receiver accepts. A 2,000-series request has some 300 KiB decoded.
MAX_COMPRESSED_BYTES = 32 * 1024 * 1024
MAX_DECODED_BYTES = 32 * 1024 * 1024
# A clock that is off by more is wrong, and its rows would block the node's later ones.
MAX_FUTURE_SECONDS = 600
# Prometheus allows 30 labels by default where it limits them at all; a kept series has at most a dozen.
MAX_LABELS = 128
# Senders batch 2,000 to 10,000 samples, each its own series. The most costly ones take 3 µs each to refuse.
MAX_SERIES_PER_REQUEST = 100_000
# Labels and exemplars of series that are parsed in full, at up to 7 µs each. 32 MiB of new series have 1.3 million
# labels of 25 bytes, 10,000 series 0.2 million; known and unwanted series are not parsed.
MAX_LABELS_PER_REQUEST = 1_500_000
# Moments of nodes: each is a row, and those of one node are scored at 0.25 ms each. Senders batch 10,000 samples at
# most, so that a day of one node, scraped every 5 s, comes in some 60 requests of 300 rows.
MAX_ROWS_PER_REQUEST = 50_000
# Texts of a version 2 request, which its series share: ten for each series at most, where nothing is shared.
MAX_SYMBOLS_PER_REQUEST = 1_000_000
# The message of one series that is parsed in full, which takes up to a hundred times as much memory. 10,000 samples of
# a sender that catches up have 160 KiB, a histogram of some hundred buckets has a few.
MAX_SERIES_BYTES = 1024 * 1024
# All label bytes of one kept series: node_exporter's have 100 to 300.
MAX_LABEL_BYTES = 8 * 1024
# Faults named in the body of a 400: more would only repeat themselves.
MAX_FAULTS_NAMED = 5
# Of a model's file. A forest of 500 deep trees has some 30 MiB; every replica fetches it, and 100 versions are kept.
MAX_MODEL_BYTES = 32 * 1024 * 1024


class SettingsError(ConfigurationError):
    """A setting that is unknown, or has a value that it cannot have."""


def _host_and_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdigit() and int(port) < 65536):
        raise ValueError("must be HOST:PORT, like 127.0.0.1:9201")
    return text


def shipped_catalogue(name: str) -> Path:
    """The file of one of `SHIPPED_CATALOGUES`."""
    return Path(str(resources.files("receiver").joinpath(f"{name}.toml")))


def _catalogue(given: object) -> object:
    return shipped_catalogue(str(given)) if str(given) in SHIPPED_CATALOGUES else given


class Settings(BaseModel):
    """What an operator may choose. Frozen: a changed setting is a new object."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    listen: Annotated[str, AfterValidator(_host_and_port)] = Field(
        "127.0.0.1:9201", description="Address and port to serve on; port 0 takes a free one."
    )
    web_config: Path | None = Field(
        None,
        description="YAML file of TLS, users, tokens and permissions (docs/web-config.md). Without it everybody who "
        "reaches the address may do everything.",
    )
    data_dir: Path = Field(
        Path("nodescore-data"), description="Folder of the journal, the embedded store and the models."
    )
    store: SecretStr | None = Field(
        None,
        description="`postgresql://…` of a TimescaleDB that finished rows and scores are passed on to. "
        "Without it they stay in the embedded store.",
    )
    model: Path | None = Field(
        None,
        description="ONNX file of the detector, reloaded when it changes; it wins over the version that is active. "
        "Default: the active version (`nodescore models`), at first the model that ships.",
    )
    catalogue: Annotated[Path, BeforeValidator(_catalogue)] = Field(
        Path("node24"),
        validate_default=True,
        description="The features: `node24`, those of nodes; `application` or `pod` (docs/applications.md); or a TOML "
        "file.",
    )
    variables: dict[str, str] = Field(
        {},
        description="Text for the catalogue's variables, over its own: `root_mountpoint`, "
        "`virtual_interfaces`, `partial_disks`. As environment variable: JSON.",
    )
    assembly_deadline_seconds: float = Field(
        7.0,
        gt=0,
        le=300,
        description="How long a row waits for series that have not arrived, counted from its first sample. "
        "Must be longer than the sender's `batch_send_deadline` (Prometheus: 5 s).",
    )
    late_horizon_seconds: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="How long at least a row that has left is re-made from late samples, once it lacks none that is "
        "expected; until then, for an hour. Later ones only fill what it lacks.",
    )
    max_rate_gap_seconds: float = Field(
        300.0, gt=0, description="No rate is made from two samples that are further apart than this."
    )
    max_sample_age_seconds: float = Field(
        2 * 24 * 3600.0,
        gt=0,
        description="Older samples of kept series are refused with 400. Prometheus replays about 2 h after an outage.",
    )
    staleness_seconds: float = Field(
        300.0,
        gt=0,
        description="A node whose last row is older than this disappears from `/metrics`; older rows are "
        "scored and stored, but never exposed.",
    )
    max_series: int = Field(
        1_000_000,
        gt=0,
        description="Kept series at most, of some 600 bytes; series over it are refused with 400 and counted.",
    )
    max_nodes: int = Field(20_000, gt=0, description="Nodes at most; series of nodes over it are refused with 400.")
    max_open_samples: int = Field(
        20_000_000,
        gt=0,
        description="Samples, of up to 20 bytes, that rows may hold while they are open or may still be re-made; a row "
        "counts as 8 more. From three quarters on, the oldest rows that lack a sample are given up "
        "(`nodescore_rows_given_up_total`); above it the answer is 503.",
    )
    journal_sync: Literal["full", "normal"] = Field(
        "full",
        description="`full`: 2xx survives a power cut. `normal`: 2xx survives the death of the process only.",
    )
    max_disk_bytes: int = Field(
        10 * 1024**3,
        ge=1024**2,
        description="Disk budget of the embedded file; a log of up to 64 MiB stands beside it. Near it the oldest "
        "rows are deleted; over it the answer is 503.",
    )
    retention_days: float = Field(
        30.0, gt=0, description="Rows and scores older than this are deleted. Labels are kept."
    )
    retrain_every_days: float = Field(
        7.0,
        ge=0,
        description="How long after the last one a new model is trained on the store and its labels, beside the "
        "service (`nodescore retrain`); 0: never. Needs the extra `train`.",
    )
    retrain_after_labels: int = Field(
        10, ge=0, description="So many new labels have a model trained without waiting; 0: however many, none is."
    )
    top_features: int = Field(5, ge=0, description="Contributing features exposed for each node over the floor.")
    contribution_floor: float = Field(
        0.5, ge=0, description="`anomaly_feature_contribution` is exposed for nodes whose score is at least this."
    )

    @property
    def embedded_path(self) -> Path:
        """The embedded store's file."""
        return self.data_dir / "nodescore.sqlite"

    @property
    def models_path(self) -> Path:
        """The file of the model's versions, where no TimescaleDB has them."""
        return self.data_dir / "models.sqlite"

    @field_validator("store")
    @classmethod
    def _is_postgres(cls, store: SecretStr | None) -> SecretStr | None:
        if store is not None and not store.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql://")
        return store


def load(
    flags: Mapping[str, Any] | None = None,
    config: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Join flags (None means not given), environment and TOML file into one object."""
    from_environment = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }
    named_file = from_environment.pop("config", None)
    if config is None and named_file:
        config = Path(named_file)
    if "variables" in from_environment:
        from_environment["variables"] = _json(from_environment["variables"])
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return Settings.model_validate(_read_toml(config) | from_environment | given)
    except ValidationError as error:
        # Without the input: a wrong `store` may hold a password.
        raise SettingsError("; ".join(_fault(e["loc"], e["msg"]) for e in error.errors(include_input=False))) from None


def _read_toml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"settings file {path}: {error}") from error


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"setting variables: not JSON: {error}") from error


def _fault(where: tuple[int | str, ...], message: str) -> str:
    if message == "Extra inputs are not permitted":
        known = ", ".join(Settings.model_fields)
        return f"setting {where[0]} does not exist; there are: {known}"
    return f"setting {'.'.join(map(str, where))}: {message}"
