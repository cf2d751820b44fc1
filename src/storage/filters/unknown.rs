//! Names for the filters that can't be undone here, so that a message says what is missing.

use std::fmt;

use super::FilterInfo;

/// A filter that this crate can't undo. The HDF5 library may, perhaps with a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct UnknownFilter {
    pub id: i32,
    pub name: String,
    /// The HDF5 plugin that has it; none for filters of the library itself.
    pub plugin: Option<&'static str>,
}

impl UnknownFilter {
    pub(super) fn new(info: &FilterInfo) -> Self {
        let (known, plugin) = known(info.id);
        let name = match (known, info.name.trim()) {
            (Some(known), _) => known,
            (None, "") => "unknown",
            (None, told) => told,
        };
        Self { id: info.id, name: name.to_owned(), plugin }
    }
}

impl fmt::Display for UnknownFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "filter {} ({}", self.id, self.name)?;
        if let Some(plugin) = self.plugin {
            write!(formatter, "; plugin {plugin}")?;
        }
        formatter.write_str(")")
    }
}

/// Name and plugin of registered filters. Those that are undone here are in it too, for settings
/// of them that aren't.
fn known(id: i32) -> (Option<&'static str>, Option<&'static str>) {
    let (name, plugin) = match id {
        1 => ("gzip", None),
        2 => ("shuffle", None),
        3 => ("fletcher32", None),
        4 => ("szip", None),
        5 => ("nbit", None),
        6 => ("scaleoffset", None),
        305 => ("LZO", Some("of PyTables")),
        307 => ("bzip2", Some("H5Z-BZIP2, in hdf5plugin")),
        32000 => ("LZF", Some("of h5py")),
        32001 => ("Blosc", Some("H5Z-Blosc, in hdf5plugin")),
        32002 => ("MAFISC", Some("MAFISC")),
        32003 => ("Snappy", Some("H5Z-Snappy")),
        32004 => ("LZ4", Some("H5Z-LZ4, in hdf5plugin")),
        32006 => ("APAX", Some("APAX")),
        32007 => ("CBF", Some("CBF")),
        32008 => ("bitshuffle", Some("bitshuffle, in hdf5plugin")),
        32009 => ("SPDP", Some("SPDP")),
        32010 => ("LPC-Rice", Some("LPC-Rice")),
        32011 => ("CCSDS-123", Some("CCSDS-123")),
        32012 => ("JPEG-LS", Some("JPEG-LS")),
        32013 => ("ZFP", Some("H5Z-ZFP, in hdf5plugin")),
        32014 => ("Fpzip", Some("Fpzip")),
        32015 => ("Zstandard", Some("H5Z-ZSTD, in hdf5plugin")),
        32016 => ("B3D", Some("B3D")),
        32017 => ("SZ", Some("H5Z-SZ, in hdf5plugin")),
        32018 => ("FCIDECOMP", Some("FCIDECOMP, in hdf5plugin")),
        32019 => ("JPEG", Some("H5Z-JPEG")),
        32020 => ("VBZ", Some("ont-vbz-hdf-plugin")),
        32021 => ("FAPEC", Some("FAPEC")),
        32022 => ("BitGroom", Some("of the CCR")),
        32023 => ("Granular BitRound", Some("of the CCR")),
        32024 => ("SZ3", Some("H5Z-SZ3, in hdf5plugin")),
        32026 => ("Blosc2", Some("H5Z-Blosc2, in hdf5plugin")),
        32027 => ("FLAC", Some("FLAC")),
        32028 => ("SPERR", Some("H5Z-SPERR, in hdf5plugin")),
        _ => return (None, None),
    };
    (Some(name), plugin)
}
