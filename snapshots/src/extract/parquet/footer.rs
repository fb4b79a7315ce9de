//! The schema in a footer, before the crate builds it: a damaged one claims columns by the billion, for which the crate
//! makes room, or columns within columns without end.

use std::io::Read;

use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::source::{MAGIC, Source};
use super::thrift::{I32, LIST, STRUCT, Thrift, damaged};

/// The length of the metadata and the magic.
const TAIL_LEN: u64 = 8;
/// In the metadata.
const SCHEMA_FIELD: i64 = 2;
/// In an element of the schema.
const CHILDREN_FIELD: i64 = 5;
/// Columns within columns, at most. Those of an extract are within none; others are passed over.
const DEPTH_MAX: usize = 64;

/// Refuses a schema whose elements do not make a tree. What is no footer at all is the crate's to say.
pub(super) fn check_schema(source: &Source) -> Result<(), ParquetError> {
    let Some(start) = metadata_start(source)? else { return Ok(()) };
    let mut thrift = Thrift::new(source.get_read(start)?);
    let mut id = 0;
    while let Some(field) = thrift.field(id)? {
        id = field.id;
        if id == SCHEMA_FIELD && field.kind == LIST {
            return check_tree(&children(&mut thrift)?);
        }
        thrift.skip(field.kind)?;
    }
    Ok(())
}

fn metadata_start(source: &Source) -> Result<Option<u64>, ParquetError> {
    let Some(tail_start) = source.len().checked_sub(TAIL_LEN) else { return Ok(None) };
    let tail = source.get_bytes(tail_start, TAIL_LEN as usize)?;
    match tail.split_first_chunk() {
        Some((len, magic)) if magic == MAGIC => Ok(tail_start.checked_sub(u32::from_le_bytes(*len).into())),
        _ => Ok(None),
    }
}

/// How many children each element says that it has.
fn children(thrift: &mut Thrift<impl Read>) -> Result<Vec<u64>, ParquetError> {
    let (kind, count) = thrift.list()?;
    if kind != STRUCT {
        return Err(damaged("the schema is no list of columns"));
    }
    let mut children = Vec::new();
    for _ in 0..count {
        let (mut id, mut own) = (0, 0);
        while let Some(field) = thrift.field(id)? {
            id = field.id;
            if id == CHILDREN_FIELD && field.kind == I32 {
                // The crate refuses what is negative.
                own = u64::try_from(thrift.signed()?).unwrap_or(0);
            } else {
                thrift.skip(field.kind)?;
            }
        }
        children.push(own);
    }
    Ok(children)
}

/// Each element but the first is a child of the last one before it that has room.
fn check_tree(children: &[u64]) -> Result<(), ParquetError> {
    // Room that is left, level by level.
    let mut room = vec![1];
    for &own in children {
        while room.last() == Some(&0) {
            room.pop();
        }
        let last = room.last_mut().ok_or_else(|| damaged("the schema has columns that are within none"))?;
        *last -= 1;
        if own > children.len() as u64 {
            return Err(damaged("a column of the schema claims more columns within it than there are"));
        }
        if own > 0 {
            room.push(own);
        }
        if room.len() > DEPTH_MAX {
            return Err(damaged("the columns of the schema are too deep within one another"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, check_tree};

    #[test]
    fn trees_are_taken_and_nothing_else() {
        for tree in [&[][..], &[0], &[2, 0, 0], &[3, 2, 0, 0, 0, 1, 0], &[2, 0]] {
            check_tree(tree).unwrap();
        }
        for (wrong, message) in [
            (&[0, 0][..], "within none"),
            (&[1, 0, 0], "within none"),
            (&[2, 4, 0], "more columns within it"),
            (&[i32::MAX as u64, 0], "more columns within it"),
        ] {
            assert!(check_tree(wrong).unwrap_err().to_string().contains(message), "{wrong:?}");
        }
        check_tree(&[1; DEPTH_MAX - 1]).unwrap();
        assert!(check_tree(&[1; DEPTH_MAX]).unwrap_err().to_string().contains("too deep"));
    }
}
