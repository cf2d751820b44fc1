//! Tables of chunks that were read before: of files that are looked at again and again by several
//! who each open them for themselves.

use std::sync::{Arc, Mutex, PoisonError};

use super::chunk_table::ChunkTable;

/// Tables that are kept, and their bytes: the last one always is.
const MOST: usize = 8;
const MOST_BYTES: u64 = 32 << 20;

/// The tables that were read last, each for as long as nobody has written to its file. Whoever
/// opens a dataset with them has no need to read its table again, nor to have one of its own in
/// memory. A file that was changed some seconds ago isn't known by anything.
#[derive(Debug, Default)]
pub struct KnownTables {
    kept: Mutex<Vec<(String, Arc<ChunkTable>)>>,
    /// Held by who reads one: two at a time would take the memory of both, and no less time.
    reading: Mutex<()>,
}

impl KnownTables {
    /// The table of a dataset; it is read unless it is known. `name` tells the dataset, in the
    /// state of its file, from any other; `None` if that can't be told.
    ///
    /// # Errors
    /// Those of reading it.
    pub(crate) fn table<E>(
        &self,
        name: impl Fn() -> Option<String>,
        read: impl FnOnce() -> Result<ChunkTable, E>,
    ) -> Result<Arc<ChunkTable>, E> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = name();
        if let Some(known) = before.as_ref().and_then(|name| self.take(name)) {
            return Ok(known);
        }
        let table = Arc::new(read()?);
        // Somebody may have written while it was read, where there are no locks.
        if let Some(name) = before.filter(|before| name().as_ref() == Some(before)) {
            self.keep(name, &table);
        }
        Ok(table)
    }

    fn take(&self, name: &str) -> Option<Arc<ChunkTable>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == name)?;
        let found = kept.remove(at);
        let table = Arc::clone(&found.1);
        kept.push(found);
        Some(table)
    }

    fn keep(&self, name: String, table: &Arc<ChunkTable>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != name);
        kept.push((name, Arc::clone(table)));
        let mut left = MOST_BYTES;
        let fits = kept.iter().rev().take(MOST).take_while(|(_, table)| {
            let fits = table.bytes() <= left;
            left = left.saturating_sub(table.bytes());
            fits
        });
        let gone = kept.len() - fits.count().max(1);
        kept.drain(..gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::chunk_table::Chunk;

    fn table(chunks: u64) -> Result<ChunkTable, ()> {
        ChunkTable::of(&[chunks], vec![1], false, |each| {
            for number in 0..chunks {
                each(&[number], Chunk { number, address: 8 * number, size: 8, mask: 0 });
            }
            Ok(())
        })
    }

    #[test]
    fn a_table_is_read_once_as_long_as_its_file_is_the_same() {
        let known = KnownTables::default();
        let named = |name: &'static str| move || Some(name.to_owned());
        let first = known.table(named("a"), || table(3)).unwrap();
        let again = known.table(named("a"), || Err(())).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(known.table(named("b"), || table(2)).unwrap().chunks.len(), 2);
        // Nothing tells whether it is the same.
        assert!(known.table(|| None, || Err(())).is_err());
        // Somebody has written meanwhile.
        let names = Mutex::new(vec!["d", "c"]);
        let changing = || names.lock().unwrap().pop().map(str::to_owned);
        known.table(changing, || table(1)).unwrap();
        assert!(known.table(named("c"), || Err(())).is_err());
        assert!(known.table(named("d"), || Err(())).is_err());
    }

    #[test]
    fn the_last_tables_are_kept_as_far_as_there_is_room() {
        let known = KnownTables::default();
        let name = |number: usize| move || Some(number.to_string());
        for number in 0..MOST + 2 {
            known.table(name(number), || table(1)).unwrap();
        }
        assert!(known.table(name(1), || Err(())).is_err());
        assert!(known.table(name(2), || Err(())).is_ok());
        let large = MOST_BYTES / 12 + 1;
        known.table(name(100), || table(large)).unwrap();
        assert!(known.table(name(2), || Err(())).is_err());
        assert!(known.table(name(100), || Err(())).is_ok());
    }
}
