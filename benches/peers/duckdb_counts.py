"""Tells what duckdb_build.py found in the rows that it wrote: how many it would reject, and how often each warning was
given. Usage: duckdb_counts.py OUT.parquet"""

import sys

import duckdb

warnings = (
    "unknown_category unknown_relation bad_student_until bad_document_due missing_principal bad_principal_id "
    "unknown_insurer bad_mobile bad_branch"
).split()
counts = ", ".join(f"count(*) filter ({warning} and reject is null)" for warning in warnings)
rows, rejected, *found = duckdb.sql(f"select count(*), count(reject), {counts} from '{sys.argv[1]}'").fetchall()[0]
given = {name: count for name, count in zip(warnings, found) if count}
print(f"rows {rows}, rejected {rejected}, warnings {given}")
