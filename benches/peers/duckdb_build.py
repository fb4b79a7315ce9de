"""Reads an extract with DuckDB, checks the cells that `snapshot build` checks, and writes the rows sorted by ID as
Parquet. Usage: duckdb_build.py EXTRACT.csv OUT.parquet CODEC MEMORY_MIB

What it found, duckdb_counts.py tells from the Parquet, so that no time is taken for that. Jalali days are checked by form
and range alone, mobile numbers are not fingerprinted, and nothing is merged, indexed or read back: it is somewhat less
work than `snapshot build` does."""

import sys

import duckdb

extract, out, codec, memory_mib = sys.argv[1:]
db = duckdb.connect()
db.sql(f"set threads = 2; set memory_limit = '{memory_mib}MiB'; set temp_directory = 'spill'")
db.sql("set preserve_insertion_order = false")

# What every cell goes through first: marks at both ends, and digits of two other scripts. DuckDB's `translate` is slow,
# so ASCII goes around it.
db.sql(
    """
    create macro clean(cell) as case
        when strlen(cell) = length(cell) then trim(cell)
        else translate(
            trim(cell, e' \t\u00A0\u200C\u200E\u200F\uFEFF'), '۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩', '01234567890123456789')
    end;
    """
)
# A day: its year says the calendar, the month and the day must be in range, the three kinds of form.
db.sql(
    """
    create macro digits(cell) as case
        when length(cell) = 8 and cell not like '%/%' and cell not like '%-%' then try_cast(cell as integer)
        when cell[5] = '/' then try_cast(split_part(cell, '/', 1) as integer) * 10000
            + try_cast(split_part(cell, '/', 2) as integer) * 100 + try_cast(split_part(cell, '/', 3) as integer)
        when cell[5] = '-' then try_cast(split_part(cell, '-', 1) as integer) * 10000
            + try_cast(split_part(cell, '-', 2) as integer) * 100 + try_cast(split_part(cell, '-', 3) as integer)
    end;
    create macro is_day(number) as coalesce(
        (number // 10000 between 1278 and 1458 and number // 100 % 100 between 1 and 12 and number % 100 between 1 and
            case when number // 100 % 100 <= 6 then 31 else 30 end)
        or (number // 10000 between 1900 and 2079 and number // 100 % 100 between 1 and 12 and number % 100 between 1
            and case when number // 100 % 100 in (4, 6, 9, 11) then 30 when number // 100 % 100 = 2 then 29 else 31 end),
        false);
    create macro is_national(id) as length(id) = 10 and try_cast(id as bigint) is not null
        and id <> repeat(id[1], 10) and id[4:9] <> '000000'
        and (
            -- A tenth digit of 1 stands for a remainder of 1 and for one of 10.
            ascii(id[1]) * 10 + ascii(id[2]) * 9 + ascii(id[3]) * 8 + ascii(id[4]) * 7 + ascii(id[5]) * 6
            + ascii(id[6]) * 5 + ascii(id[7]) * 4 + ascii(id[8]) * 3 + ascii(id[9]) * 2 - 54 * 48
        ) % 11 in (case when id[10] < '2' then ascii(id[10]) - 48 end, case when id[10] >= '1' then 11 - ascii(id[10]) + 48 end);
    """
)
db.sql(
    f"""
    create view cells as
    select
        upper(clean(id_kind)) as kind,
        case when upper(clean(id_kind)) = 'N' then lpad(clean(person_id), 10, '0') else clean(person_id) end as id,
        lower(clean(category)) as category,
        lower(clean(relation)) as relation,
        digits(clean(birth_date)) as birth,
        digits(clean(coverage_start)) as start,
        nullif(clean(coverage_end), '') as end_cell,
        digits(clean(coverage_end)) as last,
        nullif(clean(student_until), '') as student_cell,
        digits(clean(student_until)) as student_until,
        nullif(clean(document_due), '') as document_cell,
        digits(clean(document_due)) as document_due,
        clean(principal_id) as principal,
        upper(clean(other_insurer)) as insurer,
        replace(replace(clean(mobile), ' ', ''), '-', '') as mobile,
        nullif(clean(branch), '') as branch_cell,
        try_cast(clean(branch) as integer) as branch
    from read_csv('{extract}', header = true, all_varchar = true, nullstr = '\\N', quote = '"', escape = '"')
    """
)
db.sql(
    """
    create view checked as
    select
        *,
        case
            when kind not in ('N', 'F') then 'bad_id_kind'
            when kind = 'N' and not is_national(id) then 'bad_person_id'
            when kind = 'F' and (length(id) not between 8 and 16 or try_cast(id as bigint) is null)
                then 'bad_person_id'
            when relation = 'son' and not is_day(birth) then 'bad_date'
            when not is_day(start) then 'bad_date'
            when end_cell is not null and not is_day(last) then 'bad_date'
            when end_cell is not null and (last > 15000000) = (start > 15000000) and last < start
                then 'end_before_start'
        end as reject,
        category not in ('insured', 'pensioner') as unknown_category,
        relation not in ('self', 'spouse', 'son', 'daughter', 'father', 'mother', 'other') as unknown_relation,
        relation = 'son' and student_cell is not null and not is_day(student_until) as bad_student_until,
        relation = 'daughter' and document_cell is not null and not is_day(document_due) as bad_document_due,
        relation <> 'self' and principal = '' as missing_principal,
        relation <> 'self' and principal <> ''
            and (length(principal) not between 8 and 16 or try_cast(principal as bigint) is null) as bad_principal_id,
        insurer not in ('', 'IHIO', 'AFMSO', 'IKRF', 'OTHER') as unknown_insurer,
        mobile <> '' and not regexp_full_match(mobile, '(\\+98|0098|98|0)?9[0-9]{9}') as bad_mobile,
        branch_cell is not null and coalesce(branch not between 1 and 9999, true) as bad_branch
    from cells
    """
)
db.sql(
    f"""
    copy (select * exclude (end_cell, student_cell, document_cell, branch_cell) from checked order by kind desc, id)
    to '{out}' (format parquet, compression {codec})
    """
)
