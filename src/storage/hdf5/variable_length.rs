//! Memory that HDF5 takes for elements of variable length, and that who has read them gives back.

use std::ffi::c_void;

use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5p;

/// Gives back what HDF5 has allocated for elements that were read.
///
/// # Safety
/// The place holds what was read of this type and space, and is looked at no more. The library must
/// be locked.
pub(crate) unsafe fn reclaim(datatype: hid_t, space: hid_t, place: *mut c_void) {
    // SAFETY: as the caller says.
    unsafe {
        #[cfg(hdf5_1_12)]
        hdf5_sys::h5t::H5Treclaim(datatype, space, h5p::H5P_DEFAULT, place);
        #[cfg(not(hdf5_1_12))]
        hdf5_sys::h5d::H5Dvlen_reclaim(datatype, space, h5p::H5P_DEFAULT, place);
    }
}
