"""Table and model → a score for every row, as CSV.

Out: `time,node,score[,contribution_<feature>…]`, in the table's order and with its own text for time and node;
no `node` where the table has none, `cluster` where it has one. A row's score uses only rows up to it. A
contribution is empty where the model computes none: at rows under the threshold, with some models.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from models import table as tables
from models.run import Progress, no_progress, run
from receiver.detector import Detector
from receiver.errors import ConfigurationError

_SPECIAL = r'[,"\r\n]'


def score(data: Path, model: Path, out: Path, *, progress: Progress = no_progress) -> int:
    """Score the table at `data` with the model at `model` into `out`; the number of rows."""
    detector = Detector.load(model)
    table = tables.read(data)
    table = table.select(detector.info.feature_names)
    result = run(detector, table, progress)
    columns = {"time": table.time_text}
    for name, place in (("cluster", 0), ("node", 1)):
        if name in table.entity_columns:
            columns[name] = pa.DictionaryArray.from_arrays(
                pa.array(table.node), pa.array([node[place] for node in table.nodes])
            ).cast(pa.string())
    columns["score"] = pa.array(result.score)
    for feature, values in zip(table.features, result.contribution.T, strict=True):
        columns[f"contribution_{feature}"] = pa.array(np.ascontiguousarray(values), from_pandas=True)
    try:
        draft = out.with_name(out.name + ".draft")
        with draft.open("wb") as file:
            file.write((",".join(map(_quoted, columns)) + "\n").encode())
            options = pyarrow.csv.WriteOptions(include_header=False, quoting_style=_quoting(columns))
            pyarrow.csv.write_csv(pa.table(columns), file, options)
        draft.replace(out)
    except OSError as error:
        raise ConfigurationError(f"{out}: cannot be written: {error.strerror}") from None
    return len(table)


def _quoting(columns: dict[str, pa.Array]) -> str:
    """Without quotes where no text needs them, as every tool reads it; arrow's "needed" quotes all text."""
    texts = (column for column in columns.values() if pa.types.is_string(column.type))
    return "needed" if any(pc.any(pc.match_substring_regex(text, _SPECIAL)).as_py() for text in texts) else "none"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if re.search(_SPECIAL, name) else name
