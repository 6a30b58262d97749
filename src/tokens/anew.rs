//! Documents coded with a byte-level model that starts anew in each window.
//!
//! Where a window starts depends on the one before it. But windows do not depend on how one came to their start: two runs
//! through a document that once start a window at the same place agree from there on. So a long document is cut into
//! segments, which are run side by side, and then the end of each is joined to the next by a short run that starts where the
//! one before has ended, and ends where it meets a window of the next.

use super::choices::{Choices, WindowEnds};
use super::lm::{DEPTH, Lane, halves, one, run_all};
use super::writer::{Decision, Onward, Place, Writer};
use crate::coder::Wide;
use crate::error::Result;
use crate::model::lm::{MAX_COLUMNS, Model};

/// The bytes of the segments of long documents: many times what two runs need to meet.
fn segment_len(choices: &Choices) -> usize {
    let b = choices.window_bits as usize;
    let meet = if choices.ends == WindowEnds::Bit { 4 * b * b } else { b * b };
    meet.clamp(4 << 10, 64 << 10)
}

/// The values of the windows of each document, up to `lanes` in a thread side by side.
pub fn encode(model: &Model, choices: &Choices, documents: &[&[u8]], lanes: usize) -> Result<Vec<Vec<Wide>>> {
    let filled = documents.len() >= rayon::current_num_threads() * lanes.min(MAX_COLUMNS);
    let segment = if filled { usize::MAX } else { segment_len(choices) };
    encode_segments(model, choices, documents, lanes, segment)
}

/// Does so in segments of so many bytes.
pub fn encode_segments(
    model: &Model,
    choices: &Choices,
    documents: &[&[u8]],
    lanes: usize,
    segment: usize,
) -> Result<Vec<Vec<Wide>>> {
    let counts: Vec<usize> = documents.iter().map(|d| d.len().div_ceil(segment).max(1)).collect();
    let segments = documents.iter().zip(&counts).flat_map(|(document, &count)| {
        (0..count).map(move |i| {
            let until = if i + 1 < count { Until::Byte((i + 1) * segment) } else { Until::End };
            EncodeLane::new(choices, document, Place { symbol: i.wrapping_mul(segment), depth: 0 }, until)
        })
    });
    let pieces = run(model, lanes, segments.collect())?;
    let mut rest = &pieces[..];
    let mut chains = Vec::new();
    for (document, count) in documents.iter().zip(counts) {
        let (pieces, after) = rest.split_at(count);
        chains.push(Chain { choices, document, segment, pieces });
        rest = after;
    }
    let joints = run(model, lanes, chains.iter().flat_map(Chain::joints).collect())?;
    let mut joints = joints.into_iter();
    chains.iter().map(|chain| chain.join(&mut joints, |lane| run(model, lanes, vec![lane]))).collect()
}

fn run(model: &Model, lanes: usize, jobs: Vec<EncodeLane<'_>>) -> Result<Vec<Piece>> {
    run_all(model, jobs, lanes, EncodeLane::into_piece)
}

/// Where a run ends before its document does.
#[derive(Debug, Clone, Copy)]
enum Until<'d> {
    /// Nowhere.
    End,
    /// At the first window that starts at this byte or after it.
    Byte(usize),
    /// At any of these places, or as before.
    AnyOf(&'d [Place], usize),
}

impl Until<'_> {
    fn is_at(self, place: Place) -> bool {
        match self {
            Self::End => false,
            Self::Byte(byte) => place.symbol >= byte,
            Self::AnyOf(places, byte) => place.symbol >= byte || places.binary_search(&place).is_ok(),
        }
    }
}

/// The windows of a run.
#[derive(Debug)]
struct Piece {
    values: Vec<Wide>,
    /// Where each starts.
    starts: Vec<Place>,
    /// Where the next one would start.
    end: Place,
}

/// The segments of a document.
struct Chain<'d> {
    choices: &'d Choices,
    document: &'d [u8],
    segment: usize,
    pieces: &'d [Piece],
}

impl<'d> Chain<'d> {
    /// The run from a place to the windows of segment i.
    fn joint(&self, place: Place, i: usize) -> EncodeLane<'d> {
        let end = if i + 1 < self.pieces.len() { (i + 1) * self.segment } else { usize::MAX };
        EncodeLane::new(self.choices, self.document, place, Until::AnyOf(&self.pieces[i].starts, end))
    }

    /// The runs from the end of each segment to the windows of the next.
    fn joints(&self) -> Vec<EncodeLane<'d>> {
        (1..self.pieces.len()).map(|i| self.joint(self.pieces[i - 1].end, i)).collect()
    }

    /// The values of all windows, given the results of the joints. A joint that has not met the windows of its segment is
    /// followed by one from where it ended.
    fn join(
        &self,
        joints: &mut impl Iterator<Item = Piece>,
        run: impl Fn(EncodeLane<'d>) -> Result<Vec<Piece>>,
    ) -> Result<Vec<Wide>> {
        let (first, others) = self.pieces.split_first().expect("a document has a segment");
        let (mut values, mut at) = (first.values.clone(), first.end);
        for (i, piece) in others.iter().enumerate() {
            let mut joint = joints.next();
            if at != self.pieces[i].end {
                joint = run(self.joint(at, i + 1))?.pop();
            }
            let Some(joint) = joint else { continue };
            values.extend(joint.values);
            at = joint.end;
            if let Ok(met) = piece.starts.binary_search(&at) {
                values.extend_from_slice(&piece.values[met..]);
                at = piece.end;
            }
        }
        Ok(values)
    }
}

/// A part of a document that is being encoded.
struct EncodeLane<'d> {
    document: &'d [u8],
    at: Place,
    /// Whether the byte at `at` has been started in this window.
    begun: bool,
    /// The first byte that the network has seen.
    from: usize,
    starts_anew: bool,
    writer: Writer,
    /// Whether only the decisions after the document's end are left.
    padding: bool,
    complete: bool,
    until: Until<'d>,
    /// Where the windows start.
    starts: Vec<Place>,
}

impl<'d> EncodeLane<'d> {
    /// Starts at a place of a document.
    fn new(choices: &Choices, document: &'d [u8], place: Place, until: Until<'d>) -> Self {
        let mut new = Self {
            document,
            at: place,
            begun: false,
            from: 0,
            starts_anew: true,
            writer: Writer::new(choices),
            padding: false,
            complete: document.is_empty(),
            until,
            starts: Vec::new(),
        };
        new.anew(place);
        new
    }

    /// Goes on at a place, in a new window.
    fn anew(&mut self, place: Place) {
        (self.at, self.from) = (place, place.symbol);
        (self.begun, self.starts_anew) = (false, true);
        self.complete |= self.until.is_at(place);
        if !self.complete {
            self.starts.push(place);
        }
    }

    /// The windows, once the lane is complete.
    fn into_piece(self) -> Piece {
        let (values, mut starts) = (self.writer.into_values(), self.starts);
        // A window that would have held nothing has not been written.
        starts.truncate(values.len());
        Piece { values, starts, end: self.at }
    }

    fn pad(&mut self, sums: impl Fn(usize) -> u32) {
        let mut node = 1;
        for depth in 0..DEPTH {
            match self.writer.pad(one(&sums, node), halves(depth)) {
                Some(bit) => node = 2 * node + usize::from(bit),
                None => break,
            }
        }
        self.complete = true;
    }
}

impl Lane for EncodeLane<'_> {
    fn size(&self) -> usize {
        self.document.len()
    }

    fn prepare(&mut self) -> bool {
        while !self.complete {
            if self.at.symbol == self.document.len() {
                match self.writer.finish(self.at) {
                    None => self.complete = true,
                    Some(place) if place == self.at => {
                        self.padding = true;
                        return true;
                    }
                    Some(place) => self.anew(place),
                }
                continue;
            }
            if self.at.depth > 0 || self.begun {
                return true;
            }
            match self.writer.symbol(self.at) {
                Onward::Here => self.begun = true,
                Onward::Anew(place) => self.anew(place),
            }
        }
        false
    }

    fn starts_anew(&mut self) -> bool {
        std::mem::take(&mut self.starts_anew)
    }

    fn history(&self) -> &[u8] {
        &self.document[self.from..self.at.symbol]
    }

    fn code(&mut self, sums: impl Fn(usize) -> u32) -> Result<()> {
        if self.padding {
            self.pad(sums);
            return Ok(());
        }
        let Place { symbol, depth } = self.at;
        let byte = usize::from(self.document[symbol]) | 1 << DEPTH;
        for depth in depth..DEPTH {
            let node = byte >> (DEPTH - depth);
            let bit = byte >> (DEPTH - 1 - depth) & 1 == 1;
            let (at, one) = (Place { symbol, depth }, one(&sums, node));
            let decision = Decision { at, bit, one, halves: halves(depth) };
            if let Onward::Anew(place) = self.writer.decide(&decision) {
                self.anew(place);
                return Ok(());
            }
        }
        self.at = Place { symbol: symbol + 1, depth: 0 };
        self.begun = false;
        Ok(())
    }
}
