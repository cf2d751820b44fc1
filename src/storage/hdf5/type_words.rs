//! The stored type of a dataset in words, to the last bit, and with it the rules by which its bytes
//! become numbers.

use hdf5::{Dataset, Datatype};
use hdf5_sys::h5t::{self, H5T_class_t, H5T_norm_t, H5T_order_t, H5T_sign_t};
use hdf5_sys::{h5, h5i::hid_t};

use super::super::decoding::Decoding;
use super::datatype::base_type;
use super::{chunk_index, library};

/// The rules of a dataset; `is_whole` says that every value of it was written.
///
/// # Errors
/// If HDF5 doesn't tell them.
pub(super) fn decoding(dataset: &Dataset, is_whole: bool) -> hdf5::Result<Decoding> {
    let filters = if dataset.is_chunked() { chunk_index::filters(dataset)? } else { Vec::new() };
    let fill = if is_whole { None } else { Some(library::fill_value(dataset)?) };
    let stored_type = described(&dataset.dtype()?)?;
    Ok(Decoding::new(stored_type, dataset.chunk(), &filters, fill.as_deref()))
}

/// The class of complex numbers.
const COMPLEX: i32 = 11;

/// Every property of a type that decides what number some bytes are.
fn described(datatype: &Datatype) -> hdf5::Result<String> {
    let bytes = datatype.size();
    // SAFETY: the id is a live type's, here and below where properties of its class are asked for.
    let class = hdf5::sync::sync(|| unsafe { h5t::H5Tget_class(datatype.id()) });
    Ok(match class {
        H5T_class_t::H5T_INTEGER => {
            format!("{} integer, {}", sign(datatype), bits(datatype))
        }
        H5T_class_t::H5T_BITFIELD => format!("bits, {}", bits(datatype)),
        H5T_class_t::H5T_FLOAT => format!("float, {}, {}", bits(datatype), fields(datatype)?),
        H5T_class_t::H5T_COMPOUND => format!("record of {bytes} bytes {{{}}}", members(datatype)?),
        H5T_class_t::H5T_ENUM => {
            format!("enumeration of {}", described(&base_type(datatype)?)?)
        }
        H5T_class_t::H5T_ARRAY => {
            format!("array of {bytes} bytes of {}", described(&base_type(datatype)?)?)
        }
        // Libraries before 2.0 don't have this class.
        other if other as i32 == COMPLEX => {
            format!("complex of {}", described(&base_type(datatype)?)?)
        }
        // What holds no numbers isn't computed on.
        other => format!("class {} of {bytes} bytes", other as i32),
    })
}

fn sign(datatype: &Datatype) -> &'static str {
    // SAFETY: see `described`.
    match hdf5::sync::sync(|| unsafe { h5t::H5Tget_sign(datatype.id()) }) {
        H5T_sign_t::H5T_SGN_NONE => "unsigned",
        _ => "signed",
    }
}

/// `32 bits in 4 bytes, little-endian`; `12 bits from 4 on in 2 bytes, …` where there are spare
/// ones.
fn bits(datatype: &Datatype) -> String {
    // SAFETY: see `described`.
    let (bits, offset, order) = hdf5::sync::sync(|| unsafe {
        let id = datatype.id();
        (h5t::H5Tget_precision(id), h5t::H5Tget_offset(id), h5t::H5Tget_order(id))
    });
    let from = if offset == 0 { String::new() } else { format!(" from {offset} on") };
    let order = match order {
        H5T_order_t::H5T_ORDER_BE => "big-endian",
        H5T_order_t::H5T_ORDER_LE => "little-endian",
        _ => "of another byte order",
    };
    match datatype.size() {
        1 => format!("{bits} bits{from} in 1 byte"),
        bytes => format!("{bits} bits{from} in {bytes} bytes, {order}"),
    }
}

/// Where sign, exponent and mantissa of a float are.
fn fields(datatype: &Datatype) -> hdf5::Result<String> {
    let [mut sign, mut exponent, mut exponent_bits, mut mantissa, mut mantissa_bits] = [0; 5];
    let (bias, norm) = hdf5::sync::sync(|| {
        // SAFETY: see `described`; each place takes the one number that comes back.
        unsafe {
            hdf5::h5check(h5t::H5Tget_fields(
                datatype.id(),
                &raw mut sign,
                &raw mut exponent,
                &raw mut exponent_bits,
                &raw mut mantissa,
                &raw mut mantissa_bits,
            ))?;
            Ok::<_, hdf5::Error>((
                h5t::H5Tget_ebias(datatype.id()),
                h5t::H5Tget_norm(datatype.id()),
            ))
        }
    })?;
    let norm = match norm {
        H5T_norm_t::H5T_NORM_IMPLIED => "",
        H5T_norm_t::H5T_NORM_MSBSET => " with its first bit",
        _ => " as it is",
    };
    Ok(format!(
        "sign {sign}, exponent {exponent}+{exponent_bits} less {bias}, mantissa \
         {mantissa}+{mantissa_bits}{norm}"
    ))
}

/// Name, place and type of each field.
fn members(datatype: &Datatype) -> hdf5::Result<String> {
    // SAFETY: see `described`.
    let count = hdf5::sync::sync(|| unsafe { h5t::H5Tget_nmembers(datatype.id()) });
    let fields = (0..u32::try_from(count).unwrap_or(0)).map(|index| {
        let (name, offset, member) = hdf5::sync::sync(|| member(datatype.id(), index))?;
        Ok(format!("{name:?} at {offset}: {}", described(&member)?))
    });
    fields.collect::<hdf5::Result<Vec<_>>>().map(|fields| fields.join("; "))
}

fn member(id: hid_t, index: u32) -> hdf5::Result<(String, usize, Datatype)> {
    // SAFETY: the caller counted the fields; the name is HDF5's and is given back, and the type is
    // ours.
    unsafe {
        let name = h5t::H5Tget_member_name(id, index);
        if name.is_null() {
            return Err("a field without a name".into());
        }
        let text = std::ffi::CStr::from_ptr(name).to_bytes().escape_ascii().to_string();
        h5::H5free_memory(name.cast());
        let offset = h5t::H5Tget_member_offset(id, index);
        Ok((text, offset, hdf5::from_id(hdf5::h5check(h5t::H5Tget_member_type(id, index))?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<T: hdf5::H5Type>() -> String {
        described(&Datatype::from_type::<T>().unwrap()).unwrap()
    }

    #[test]
    fn a_stored_type_is_told_to_the_last_bit() {
        assert_eq!(text::<i8>(), "signed integer, 8 bits in 1 byte");
        assert!(text::<u16>().starts_with("unsigned integer, 16 bits in 2 bytes, "));
        assert!(text::<f32>().ends_with("sign 31, exponent 23+8 less 127, mantissa 0+23"));
        let complex = text::<num_complex::Complex32>();
        assert!(complex.starts_with("record of 8 bytes {\"r\" at 0: float, 32 bits"), "{complex}");
        assert!(complex.contains("; \"i\" at 4: float"), "{complex}");
        assert!(text::<bool>().starts_with("enumeration of "), "{}", text::<bool>());
    }

    #[test]
    fn chunks_and_fill_values_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = hdf5::File::create(folder.path().join("file.h5")).unwrap();
        let plain = file.new_dataset::<f32>().shape(4).fill_value(1.5f32).create("plain").unwrap();
        let fill = 1.5f32.to_le_bytes();
        let stored = text::<f32>();
        let expected = Decoding::new(stored.clone(), None, &[], Some(&fill));
        assert_eq!(decoding(&plain, false).unwrap(), expected);
        assert_eq!(decoding(&plain, true).unwrap(), Decoding::new(stored.clone(), None, &[], None));
        let chunked = file.new_dataset::<f32>().shape(4).chunk(2).shuffle().create("c").unwrap();
        let filters = chunk_index::filters(&chunked).unwrap();
        assert_eq!((filters[0].id, filters[0].values.as_slice()), (2, &[4][..]));
        let expected = Decoding::new(stored, Some(vec![2]), &filters, None);
        assert_eq!(decoding(&chunked, true).unwrap(), expected);
    }
}
