"""Files that are whole or not there: written beside their final names and renamed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_table(table: pa.Table, path: Path) -> None:
    """One Parquet file, in row groups small enough to be read in slices."""
    partial = path.with_name(f".{path.name}")
    pq.write_table(table, partial, compression="zstd", row_group_size=65_536)
    partial.rename(path)


def write_bytes(content: bytes, path: Path) -> None:
    """One file of this content."""
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(content)
    partial.rename(path)
