"""Analytics: a partitioned Parquet data set is written through S3 by pyarrow and read by pyarrow and by DuckDB."""

from __future__ import annotations

from pathlib import Path

import duckdb
import duckdb_extension_httpfs
import pyarrow
import pyarrow.compute
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest

from node import ACCESS_KEY, SECRET_KEY, Node

ROW_COUNT = 200_000


@pytest.fixture(scope="module")
def table() -> pyarrow.Table:
    """Orders of 4 regions in 3 years."""
    rows = range(ROW_COUNT)
    return pyarrow.table(
        {
            "id": pyarrow.array(rows, pyarrow.int64()),
            "region": pyarrow.array([("north", "east", "south", "west")[row % 4] for row in rows]),
            "year": pyarrow.array([2022 + row % 3 for row in rows], pyarrow.int32()),
            "amount": pyarrow.array([(row * 7919 % 10_007) / 100 for row in rows]),
            "note": pyarrow.array([f"order {row * 31 % ROW_COUNT}" for row in rows]),
        }
    )


@pytest.fixture
def files(node: Node) -> pyarrow.fs.S3FileSystem:
    """pyarrow's own S3 client."""
    return pyarrow.fs.S3FileSystem(
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        endpoint_override=node.address,
        scheme="http",
        region="us-east-1",
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )


@pytest.fixture
def data_set(files: pyarrow.fs.S3FileSystem, bucket: str, table: pyarrow.Table) -> str:
    """The table, partitioned by region and year, below a prefix of the bucket."""
    pyarrow.dataset.write_dataset(
        table,
        f"{bucket}/orders",
        filesystem=files,
        format="parquet",
        partitioning=pyarrow.dataset.partitioning(
            pyarrow.schema([("region", pyarrow.string()), ("year", pyarrow.int32())]), flavor="hive"
        ),
    )
    return f"{bucket}/orders"


@pytest.fixture
def database(node: Node) -> duckdb.DuckDBPyConnection:
    """DuckDB with httpfs from the package, since an extension is never downloaded in a test."""
    root = Path(duckdb_extension_httpfs.__file__).parent / "extensions"
    (extension,) = root.glob(f"v{duckdb.__version__}/httpfs.duckdb_extension")
    connection = duckdb.connect(config={"threads": 2})
    connection.execute(f"LOAD '{extension}'")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{ACCESS_KEY}', SECRET '{SECRET_KEY}', REGION 'us-east-1', "
        f"ENDPOINT '{node.address}', URL_STYLE 'path', USE_SSL false)"
    )
    return connection


def test_pyarrow_reads_what_it_wrote(files: pyarrow.fs.S3FileSystem, data_set: str, table: pyarrow.Table) -> None:
    read = pyarrow.dataset.dataset(data_set, filesystem=files, format="parquet", partitioning="hive")
    assert len(read.files) == 12
    back = read.to_table(columns=["id", "amount", "note"]).sort_by("id")
    assert back.equals(table.select(["id", "amount", "note"]))
    chosen = read.to_table(filter=(pyarrow.dataset.field("region") == "east") & (pyarrow.dataset.field("id") < 1000))
    assert chosen.num_rows == 250


def test_duckdb_reads_what_pyarrow_wrote(
    database: duckdb.DuckDBPyConnection, data_set: str, table: pyarrow.Table
) -> None:
    source = f"read_parquet('s3://{data_set}/**/*.parquet', hive_partitioning = true)"
    count, total = database.sql(f"SELECT count(*), sum(id) FROM {source}").fetchone()
    assert (count, total) == (ROW_COUNT, sum(range(ROW_COUNT)))
    found = database.sql(
        f"SELECT region, CAST(year AS INTEGER), count(*), round(sum(amount), 2) FROM {source} "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    grouped = table.group_by(["region", "year"]).aggregate([("id", "count"), ("amount", "sum")])
    expected = sorted(
        (row["region"], row["year"], row["id_count"], round(row["amount_sum"], 2)) for row in grouped.to_pylist()
    )
    assert found == expected
    one = database.sql(f"SELECT note FROM {source} WHERE id = 123456").fetchone()
    assert one == (table["note"][123_456].as_py(),)


def test_duckdb_writes_what_pyarrow_reads(
    database: duckdb.DuckDBPyConnection, files: pyarrow.fs.S3FileSystem, bucket: str
) -> None:
    database.execute(
        "COPY (SELECT range AS id, 'row ' || range AS name FROM range(500000)) "
        f"TO 's3://{bucket}/out.parquet' (FORMAT parquet)"
    )
    back = pyarrow.parquet.read_table(f"{bucket}/out.parquet", filesystem=files)
    assert back.num_rows == 500_000
    assert pyarrow.compute.sum(back["id"]).as_py() == sum(range(500_000))
    (rows,) = database.sql(f"SELECT count(*) FROM 's3://{bucket}/out.parquet' WHERE name = 'row 499999'").fetchone()
    assert rows == 1


def test_pyarrow_s_file_system_operations(files: pyarrow.fs.S3FileSystem, bucket: str) -> None:
    with files.open_output_stream(f"{bucket}/dir/streamed") as stream:
        for number in range(30):
            stream.write(bytes([number]) * 500_000)
    assert files.get_file_info(f"{bucket}/dir/streamed").size == 15_000_000
    with files.open_input_file(f"{bucket}/dir/streamed") as file:
        file.seek(14_500_000)
        assert file.read() == bytes([29]) * 500_000
    files.create_dir(f"{bucket}/empty")
    files.copy_file(f"{bucket}/dir/streamed", f"{bucket}/dir/copied")
    files.move(f"{bucket}/dir/copied", f"{bucket}/dir/moved")
    selector = pyarrow.fs.FileSelector(bucket, recursive=True)
    found = sorted(info.path.removeprefix(f"{bucket}/") for info in files.get_file_info(selector))
    assert found == ["dir", "dir/moved", "dir/streamed", "empty"]
    files.delete_dir(f"{bucket}/dir")
    files.delete_dir(bucket)
