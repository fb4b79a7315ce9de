# Makes the files of this folder from rows.csv: `python3 make.py` with PyPI's duckdb and pyarrow. They stand for what
# exporters other than the Rust crate write; made with duckdb 2.0.1 and pyarrow 26.0.1.
import base64
import datetime

import duckdb
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

rows = "read_csv('rows.csv', all_varchar = true)"
duckdb.sql(f"copy (select * from {rows}) to 'duckdb.parquet' (compression zstd)")
# Starts of cover as DATE, ends as YYYYMMDD, branches as SMALLINT.
duckdb.sql(
    f"""copy (select * replace (
        cast(coverage_start as date) as coverage_start,
        cast(replace(coverage_end, '-', '') as integer) as coverage_end,
        cast(branch as smallint) as branch
    ) from {rows}) to 'duckdb-typed.parquet' (compression snappy)"""
)

names = csv.read_csv("rows.csv").column_names
strings = {name: pa.string() for name in names}
table = csv.read_csv("rows.csv", convert_options=csv.ConvertOptions(column_types=strings, strings_can_be_null=True))
pq.write_table(table, "pyarrow.parquet", row_group_size=16, write_page_checksum=True)
delta = {name: "DELTA_BYTE_ARRAY" for name in names} | {name: "DELTA_LENGTH_BYTE_ARRAY" for name in names[:4]}
pq.write_table(
    table, "pyarrow-delta.parquet", data_page_version="2.0", compression="gzip", use_dictionary=False,
    column_encoding=delta,
)


class Plain(pe.KmsClient):
    """Wraps keys in nothing at all; the files must not be readable without keys, and nobody needs theirs."""

    def __init__(self, config):
        pe.KmsClient.__init__(self)

    def wrap_key(self, key, master):
        return base64.b64encode(key)

    def unwrap_key(self, wrapped, master):
        return base64.b64decode(wrapped)


factory = pe.CryptoFactory(Plain)
for file, plain in (("encrypted.parquet", False), ("encrypted-columns.parquet", True)):
    config = pe.EncryptionConfiguration(
        footer_key="f", column_keys={"c": ["person_id", "mobile"]}, plaintext_footer=plain,
        cache_lifetime=datetime.timedelta(minutes=5),
    )
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
    pq.write_table(table, file, encryption_properties=properties)
