"""Tables on disk: Parquet files in Hive-partitioned folders, whole studies read in one call.

    results/<what>/dataset=D/model=M/training=T/seed=S/<file>.parquet

Text columns are dictionaries, compression is zstd, and the schema's metadata says where the file came from. Every page
has a checksum, for any reader to verify, and the file one of the whole (`checksum`). The columns of the measure
(`columns.MEASURES`) are stored in single precision: seven digits, where networks compute in no more, and half the size;
accumulate in float64 when averaging them.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from rotvar.columns import MEASURES
from rotvar.errors import InputError, damaged
from rotvar.system import checksum
from rotvar.system.files import atomic

_KEY = b"rotvar"  # the entry of the schema's metadata that holds ours, as JSON
_TEXT = pa.dictionary(pa.int32(), pa.string())
_PARTITIONS = pa.schema(
    [
        ("dataset", _TEXT),
        ("model", _TEXT),
        ("training", _TEXT),
        ("seed", pa.int64()),
        ("transformation", _TEXT),  # of measurements of others than rotation
        ("epoch", pa.int64()),  # of measurements during a training
        ("measured_on", _TEXT),  # the data set, of measurements on others than the network's own
    ]
)


def write(table: pd.DataFrame, path: str | Path, metadata: dict[str, Any]) -> None:
    """Write `table` to the Parquet file `path` with `metadata` (JSON values) in its schema; atomic.

    The index is not stored. The categories of a text column are in their order of appearance.
    """
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    for position, field in enumerate(arrow.schema):
        column = arrow.column(position)
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type) or pa.types.is_dictionary(field.type):
            column = column.cast(pa.string()).dictionary_encode()
        elif field.name in MEASURES:
            column = column.cast(pa.float32())
        arrow = arrow.set_column(position, field.name, column)
    arrow = arrow.replace_schema_metadata({_KEY: json.dumps(metadata), "checksum": checksum.BLANK})
    with atomic(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd", write_page_checksum=True)
        checksum.stamp(temporary)


def read(
    sources: str | Path | Iterable[str | Path],
    columns: str | Iterable[str] | None = None,
    **where: Iterable[Any] | float,
) -> pd.DataFrame:
    """One table for all Parquet files at `sources` (a file, a folder, or several of them), read in the order of paths.

    The partition columns `dataset`, `model`, `training`, `transformation`, `measured_on` (categories), `seed` and
    `epoch` (int64) come from the names of the folders right above a file. `columns` limits what is read; `where` limits
    the rows: `read(folder, stratum=["all"], seed=0)`. A column that only some of the files have is missing in the
    others. Checksums are verified. Raises InputError when there is no file, when a file is damaged, when the files are
    of several kinds (variance and accuracy, say) or two have the same partitions (of two studies), for a column that
    none of them has, and for values not of its type.
    """
    files = _files([sources] if isinstance(sources, str | Path) else sources)
    wanted = None if columns is None else [columns] if isinstance(columns, str) else list(columns)
    chosen = {name: _values(values) for name, values in where.items()}
    schemas = {file: _schema(file) for file in files}
    _check_names([*(wanted or []), *chosen], schemas)
    tables = []
    for file, schema in schemas.items():
        keep = _rows(schema, chosen)
        try:
            tables.append(_read(file, schema, wanted, keep))
        except (OSError, ValueError, pa.ArrowException) as error:
            raise damaged(file, "cannot be read as Parquet", error) from error
    # A column that some files have not, which were written before it was measured, is missing there
    table = pa.concat_tables(tables, promote_options="default").unify_dictionaries()
    if wanted is not None:
        table = table.select([name for name in wanted if name in table.column_names])
    return table.to_pandas()


def read_one_by_one(
    files: Iterable[str | Path], summarize: Callable[[pd.DataFrame], pd.DataFrame], **where: Iterable[Any] | float
) -> pd.DataFrame:
    """One table of what `summarize` makes of each file, read as `read` does: a whole study may not fit in memory."""
    return pd.concat([summarize(read(file, None, **where)) for file in files])


def metadata(path: str | Path) -> dict[str, Any]:
    """What `write` was given about where the file came from. Raises InputError where the file is damaged."""
    try:
        checksum.verify(path)
        return json.loads((pq.read_schema(path).metadata or {}).get(_KEY, b"{}"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(path, "cannot be read as Parquet", error) from error


def _files(sources: Iterable[str | Path]) -> list[Path]:
    files: list[Path] = []
    for source in map(Path, sources):
        folder = (file for file in source.rglob("*.parquet") if not file.name.startswith("."))
        found = [source] if source.is_file() else sorted(folder)
        if not found:
            raise InputError(f"There are no Parquet files at {source}: run the workflow, or correct the path.")
        files += found
    if not files:
        raise InputError("There is no file or folder to read from: the list or pattern that was given has none.")
    kinds = sorted({file.name for file in files})
    if len(kinds) > 1:
        raise InputError(f"The files found are of several kinds ({', '.join(kinds)}): read one kind at a time.")
    known: dict[tuple[str, ...], Path] = {}
    for file in files:
        named = tuple(_partition_folders(file))
        if named and (other := known.setdefault(named, file)) is not file:
            raise InputError(f"{other} and {file} would be the same rows: read one study at a time.")
    return files


def _schema(file: Path) -> pa.Schema:
    """The columns of a file whose checksum holds, with those of its path: a name that it lacks is then a mistake in
    what was asked."""
    try:
        checksum.verify(file)
        return pa.unify_schemas([pq.read_schema(file), _partitions(file)])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(file, "cannot be read as Parquet", error) from error


def _check_names(names: Iterable[str], schemas: Mapping[Path, pa.Schema]) -> None:
    """Raise InputError, with the columns there are, for a name that is neither a partition nor in any of the files."""
    present = dict.fromkeys(name for schema in schemas.values() for name in schema.names)
    for name in names:
        if name not in present and name not in _PARTITIONS.names:
            file = next(iter(schemas))
            there = ", ".join(dict.fromkeys([*present, *_PARTITIONS.names]))
            raise InputError(f"There is no column '{name}' in {file}: choose among {there}.")


def _values(values: Iterable[Any] | float) -> list[Any]:
    return [values] if isinstance(values, str) or not isinstance(values, Iterable) else list(values)


def _rows(schema: pa.Schema, where: Mapping[str, list[Any]]) -> ds.Expression | None:
    """The filter for the rows of a file that have these values; none has where the file lacks the column."""
    types = {field.name: field.type for field in (*_PARTITIONS, *schema)}
    keep = None
    for name, values in where.items():
        if name not in types:
            return ds.scalar(False)
        kind = types[name]
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        try:
            condition = ds.field(name).isin(pa.array(values).cast(kind))
        except (pa.ArrowException, TypeError) as error:
            raise InputError(f"{name} cannot be one of {values}: give values of its type, {kind}.") from error
        condition = condition if name in schema.names else ds.scalar(False)
        keep = condition if keep is None else keep & condition
    return keep


def _read(file: Path, schema: pa.Schema, columns: list[str] | None, keep: ds.Expression | None) -> pa.Table:
    scan = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    dataset = ds.dataset(
        [str(file.absolute())],
        format=ds.ParquetFileFormat(default_fragment_scan_options=scan),
        partitioning=ds.partitioning(_partitions(file), dictionaries="infer", flavor="hive"),
        partition_base_dir=str(file.absolute().parents[len(_partition_folders(file))]),
    )
    own = None if columns is None else [name for name in columns if name in schema.names]
    return dataset.to_table(columns=own, filter=keep)


def _partitions(file: Path) -> pa.Schema:
    """The partition columns whose values stand in a file's path."""
    said = {folder.partition("=")[0] for folder in _partition_folders(file)}
    return pa.schema([field for field in _PARTITIONS if field.name in said])


def _partition_folders(file: Path) -> list[str]:
    """The folders right above a file that are called NAME=VALUE, the innermost first. What stands above another one,
    as above the results, is no partition, whatever it is called."""
    return list(itertools.takewhile(lambda name: "=" in name, reversed(file.absolute().parts[:-1])))
