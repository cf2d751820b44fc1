//! Code for each type of numbers that arrays may have.

/// `$call`, in which `T` is the type of numbers that computing is done with where the file has this
/// element type.
macro_rules! each_element {
    ($element:expr, $call:expr) => {{
        use pixelmill::ElementType;
        macro_rules! with {
            ($type:ty) => {{
                type T = $type;
                $call
            }};
        }
        match $element {
            ElementType::Int8 => with!(i8),
            ElementType::Int16 => with!(i16),
            ElementType::Int32 => with!(i32),
            ElementType::Int64 => with!(i64),
            ElementType::UInt8 => with!(u8),
            ElementType::UInt16 => with!(u16),
            ElementType::UInt32 => with!(u32),
            ElementType::UInt64 => with!(u64),
            ElementType::Float16 | ElementType::BFloat16 | ElementType::Float32 => with!(f32),
            ElementType::Float64 => with!(f64),
            ElementType::Complex64 => with!(num_complex::Complex32),
            ElementType::Complex128 => with!(num_complex::Complex64),
        }
    }};
}

pub(crate) use each_element;
