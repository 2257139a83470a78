"""Tables on disk that are whole or not there: written beside their final names and renamed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_table(table: pa.Table, path: Path, compression: str = "zstd", dictionaries: list[str] | None = None) -> None:
    """One Parquet file, in row groups small enough to be read in slices; `dictionaries` names columns, else all."""
    partial = path.with_name(f".{path.name}")
    encoded = True if dictionaries is None else dictionaries
    pq.write_table(table, partial, compression=compression, use_dictionary=encoded, row_group_size=65_536)
    partial.rename(path)
