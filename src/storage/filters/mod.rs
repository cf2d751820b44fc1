//! Filters: undoes what a dataset's filter pipeline did to a chunk, and encodes results' chunks.
//!
//! One file per filter, all behind [`Filter`]; [`Pipeline`] puts them in order and writes the last
//! one's output straight into the caller's buffer. It knows bytes, not files: where a chunk lies
//! and which filters it has is asked elsewhere. What it can't undo it names in [`UnknownFilter`],
//! so that the HDF5 library can be asked instead. Stored bytes are never trusted: a damaged chunk
//! is an error, and nothing is written or allocated beyond the chunk's own size.

mod bitshuffle;
mod blosc;
mod bzip2;
mod fletcher32;
mod gzip;
mod lz4;
mod lzf;
mod shuffle;
mod szip;
mod unknown;
mod window;
mod zstd;

#[cfg(test)]
mod tests;

pub(crate) use unknown::UnknownFilter;

/// One filter of a dataset's pipeline, as HDF5 tells it, in the order in which a writer applies
/// them.
#[derive(Clone, Debug)]
pub(crate) struct FilterInfo {
    pub id: i32,
    pub values: Vec<u32>,
    pub name: String,
}

impl FilterInfo {
    fn value(&self, index: usize) -> Option<u32> {
        self.values.get(index).copied()
    }
}

/// What one filter does. Only `name` and `decode` are always needed.
trait Filter: Send + Sync {
    /// Its name and setting, for people.
    fn name(&self) -> String;

    /// How long what it makes of `plain` is. To be overridden by filters that don't compress.
    fn encoded_length(&self, plain: Length) -> Length {
        // No compressor expands by more than this, even with the smallest blocks.
        Length::AtMost(plain.bound().saturating_mul(2).saturating_add(4096))
    }

    /// The plain bytes within `stored`, if all that it does is to add something to them.
    fn strip<'a>(&self, _stored: &'a [u8]) -> Option<Result<&'a [u8], String>> {
        None
    }

    /// Undoes it into the beginning of `out`, and returns how many bytes that are. What the rest of
    /// `out` holds then doesn't matter.
    fn decode(&self, stored: &[u8], out: &mut [u8], codecs: &mut Codecs) -> Result<usize, String>;

    /// Most bytes of `Codecs` that `decode` takes for this many plain bytes, and what else it
    /// allocates.
    fn scratch_bytes(&self, _plain: usize) -> usize {
        0
    }

    /// Replaces the content of `out` by what it makes of `plain`. Only for filters of results.
    fn encode(&self, _: &[u8], _: &mut Vec<u8>, _: &mut Codecs) -> Result<(), String> {
        Err(format!("{} can't be written", self.name()))
    }
}

/// How many bytes a stage of the pipeline has.
#[derive(Clone, Copy)]
enum Length {
    Exact(usize),
    AtMost(usize),
}

impl Length {
    fn bound(self) -> usize {
        match self {
            Self::Exact(bytes) | Self::AtMost(bytes) => bytes,
        }
    }

    /// The same, as far as it is to be believed of a chunk with this many bytes: each of many
    /// filters may make it longer, but all together not by much.
    fn of_chunk(self, chunk_bytes: usize) -> Self {
        match self {
            Self::Exact(bytes) => Self::Exact(bytes),
            Self::AtMost(bytes) => {
                Self::AtMost(bytes.min(most_stored(chunk_bytes as u64) as usize))
            }
        }
    }

    fn plus(self, more: usize) -> Self {
        match self {
            Self::Exact(bytes) => Self::Exact(bytes.saturating_add(more)),
            Self::AtMost(bytes) => Self::AtMost(bytes.saturating_add(more)),
        }
    }
}

/// All filters of a dataset.
pub(crate) struct Pipeline {
    filters: Vec<Box<dyn Filter>>,
}

/// Buffers and codecs of one worker, to be used again for each chunk.
#[derive(Default)]
pub(crate) struct Scratch {
    /// What lies between the stages.
    stages: Vec<Vec<u8>>,
    codecs: Codecs,
}

/// What filters use while they decode. Each buffer has one purpose, so that filters within
/// filters (zstd within Blosc) don't get into each other's way.
#[derive(Default)]
struct Codecs {
    inflater: Option<libdeflater::Decompressor>,
    deflater: Option<gzip::Deflater>,
    unzstd: Option<::zstd::bulk::Decompressor<'static>>,
    zstd: Option<zstd::Compressor>,
    /// A block that is decompressed and still has to be unshuffled.
    block: Vec<u8>,
    /// A block with its bits, but not its bytes, in place.
    bits: Vec<u8>,
    /// A block of a multidimensional Blosc2 chunk, to be spread over the chunk.
    tile: Vec<u8>,
    /// The block to which others are differences.
    reference: Vec<u8>,
    /// The samples that szip codes together.
    samples: Vec<u32>,
}

#[cfg(any(test, feature = "internals"))]
impl Scratch {
    /// Bytes of all buffers, without the codecs' own.
    pub fn bytes(&self) -> usize {
        let Codecs { block, bits, tile, reference, samples, .. } = &self.codecs;
        let buffers = self.stages.iter().chain([block, bits, tile, reference]);
        buffers.map(Vec::len).sum::<usize>() + size_of_val(&samples[..])
    }
}

impl Pipeline {
    /// The pipeline of a dataset whose elements have this many bytes.
    ///
    /// # Errors
    /// The first filter that can't be undone here.
    pub fn new(filters: &[FilterInfo], element_size: usize) -> Result<Self, UnknownFilter> {
        let filters = filters.iter().map(|info| {
            let filter: Option<Box<dyn Filter>> = match info.id {
                1 => gzip::new(info),
                2 => shuffle::new(info, element_size),
                3 => fletcher32::new(),
                4 => szip::new(info),
                307 => bzip2::new(info),
                32000 => lzf::new(),
                32001 => blosc::new(info),
                32004 => lz4::new(),
                32008 => bitshuffle::new(info, element_size),
                32015 => zstd::new(info),
                32026 => blosc::new_frame(info),
                _ => None,
            };
            filter.ok_or_else(|| UnknownFilter::new(info))
        });
        Ok(Self { filters: filters.collect::<Result<_, _>>()? })
    }

    /// Their names in the order in which a writer applies them, for people.
    pub fn names(&self) -> Vec<String> {
        self.filters.iter().map(|filter| filter.name()).collect()
    }

    /// Undoes the filters, last first and without those whose bit is set in `mask`, from `stored`
    /// into `out`, which has exactly the chunk's bytes.
    ///
    /// # Errors
    /// In one line, what is wrong with the chunk.
    pub fn decode(
        &self,
        mask: u32,
        stored: &[u8],
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<(), String> {
        scratch.stages.resize_with(self.filters.len().max(scratch.stages.len()), Vec::new);
        let active = |index: &usize| !masked(mask, *index);
        let undo = Undo { filters: &self.filters, active: &active };
        undo.before(self.filters.len(), stored, out, &mut scratch.stages, &mut scratch.codecs)
    }

    /// Most bytes that `decode` keeps in a `Scratch` for chunks of this many bytes.
    pub fn scratch_bytes(&self, chunk_bytes: usize) -> usize {
        let mut plain = Length::Exact(chunk_bytes);
        let mut bytes = 0;
        for (stage, filter) in self.filters.iter().enumerate() {
            let between = if stage == 0 { 0 } else { plain.bound() };
            bytes += between + filter.scratch_bytes(plain.bound());
            plain = filter.encoded_length(plain).of_chunk(chunk_bytes);
        }
        bytes
    }

    /// Applies all filters to a chunk; only for pipelines of shuffle, gzip and zstd.
    ///
    /// # Errors
    /// In one line, which filter can't be applied.
    pub fn encode(&self, chunk: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>, String> {
        scratch.stages.resize_with(self.filters.len().max(scratch.stages.len()), Vec::new);
        let mut encoded = Vec::new();
        let Some(last) = self.filters.len().checked_sub(1) else { return Ok(chunk.to_vec()) };
        for (stage, filter) in self.filters.iter().enumerate() {
            let (before, after) = scratch.stages.split_at_mut(stage);
            let plain = before.last().map_or(chunk, |previous| previous);
            let out = if stage == last { &mut encoded } else { &mut after[0] };
            filter.encode(plain, out, &mut scratch.codecs)?;
        }
        Ok(encoded)
    }
}

/// The filters that were applied to one chunk, while they are undone.
struct Undo<'a> {
    filters: &'a [Box<dyn Filter>],
    active: &'a dyn Fn(&usize) -> bool,
}

impl Undo<'_> {
    /// Undoes the filters before `end`. Each stage but the last needs one of `buffers`.
    fn before(
        &self,
        end: usize,
        data: &[u8],
        out: &mut [u8],
        buffers: &mut [Vec<u8>],
        codecs: &mut Codecs,
    ) -> Result<(), String> {
        let mut earlier = (0..end).filter(self.active);
        let Some(index) = earlier.next_back() else {
            return length_is(data.len(), out.len()).map(|()| out.copy_from_slice(data));
        };
        let filter = &self.filters[index];
        if let Some(stripped) = filter.strip(data) {
            return self.before(index, stripped?, out, buffers, codecs);
        }
        if earlier.next_back().is_none() {
            let length = filter.decode(data, out, codecs)?;
            return length_is(length, out.len());
        }
        let plain = self.plain_length(index, out.len()).bound();
        let (buffer, buffers) = buffers.split_first_mut().expect("one buffer for each filter");
        let buffer = room(buffer, plain);
        let length = filter.decode(data, buffer, codecs)?;
        self.before(index, &buffer[..length], out, buffers, codecs)
    }

    /// How long what the filter at `index` was given can have been.
    fn plain_length(&self, index: usize, chunk_bytes: usize) -> Length {
        let earlier = (0..index).filter(self.active);
        earlier.fold(Length::Exact(chunk_bytes), |length, index| {
            self.filters[index].encoded_length(length).of_chunk(chunk_bytes)
        })
    }
}

/// Bytes that a chunk of so many bytes may take between filters or in the file; more isn't to be
/// believed.
pub(crate) fn most_stored(chunk_bytes: u64) -> u64 {
    chunk_bytes.saturating_mul(2).saturating_add(64 << 10)
}

/// Whether the writer left out the filter at `index`; a mask has 32 bits.
fn masked(mask: u32, index: usize) -> bool {
    u32::try_from(index).ok().and_then(|index| mask.checked_shr(index)).unwrap_or(0) & 1 == 1
}

/// The first `length` bytes of `buffer`, which grows if need be and is never cleared.
fn room(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        // Not twice as much as is needed, which is what growing bit by bit would take.
        buffer.reserve_exact(length - buffer.len());
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

fn length_is(found: usize, expected: usize) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("it decodes to {found} bytes instead of {expected}"))
}

/// What to say when there is no room for all that a chunk decodes to.
fn too_long(expected: usize) -> String {
    format!("it decodes to more than {expected} bytes")
}

/// The beginning of `out` for data that says it has this many bytes.
fn beginning(out: &mut [u8], length: u64) -> Result<&mut [u8], String> {
    let available = out.len();
    let length = usize::try_from(length).ok().filter(|length| *length <= available);
    Ok(&mut out[..length.ok_or_else(|| too_long(available))?])
}

/// Takes the first bytes off `data`.
fn take<'a>(data: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (first, rest) = data.split_at_checked(count)?;
    *data = rest;
    Some(first)
}

/// Takes an array of bytes off `data`.
fn take_array<const N: usize>(data: &mut &[u8]) -> Option<[u8; N]> {
    take(data, N)?.try_into().ok()
}
