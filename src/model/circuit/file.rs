//! The model file of a circuit (`formats/circuit.md`, section "Model file").

use super::codes::{CODES, Kind, Reader, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cursor::{Cursor, Parsed};

/// The first bytes of every model file of a circuit.
pub const MAGIC: [u8; 8] = *b"\x93NZPC\r\n\x1a";
/// The version of files without a patch.
const VERSION: u16 = 1;
/// The version of files for circuits that code patches of pictures; apart from [`Patch`], everything is as in
/// version 1.
const VERSION_PATCH: u16 = 2;
/// The most parameters of a circuit.
const MAX_PARAMETERS: u64 = 1 << 25;
/// The most parameters per byte of the file.
const MAX_PER_BYTE: u64 = 64;
/// The most alphabets of a circuit.
const MAX_ALPHABETS: usize = 1024;
/// The stored parent of the root.
const NO_PARENT: u16 = u16::MAX;

/// An alphabet: symbols, and the classes to which they belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alphabet {
    /// The class of each symbol; there are 1..=256 symbols.
    pub class: Vec<u8>,
    /// The weight of each symbol within its class, at least 1.
    pub weight: Vec<u16>,
}

impl Alphabet {
    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.class.iter().max().map_or(0, |&c| usize::from(c) + 1)
    }
}

/// The place of a node in the tree, and its sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The byte of a record that it codes.
    pub variable: u16,
    /// The index of the parent in the list of nodes; `None` for the root, the first node.
    pub parent: Option<u16>,
    /// The number of its symbols' alphabet.
    pub alphabet: u16,
    /// The number of states of its hidden variable, even, 2..=256.
    pub states: u16,
}

/// The patch of a picture that forms a record: pixels row by row, with the channels of a pixel next to each
/// other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// The number of pixels in a row, at least 1.
    pub width: u8,
    /// The number of rows, at least 1.
    pub height: u8,
    /// The number of channels of a pixel: 1, or 3 for red, green and blue.
    pub channels: u8,
    /// Whether green is subtracted from the other two channels, of which there must be three.
    pub green: bool,
}

impl Patch {
    /// The number of bytes of the stored form.
    pub const STORED: usize = 4;

    /// The number of variables of a record.
    pub fn variables(&self) -> usize {
        usize::from(self.width) * usize::from(self.height) * usize::from(self.channels)
    }

    /// The stored form.
    pub fn to_bytes(self) -> [u8; Self::STORED] {
        [self.width, self.height, self.channels, self.green.into()]
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Corrupt` for sizes or channels that no patch has.
    pub fn from_bytes(bytes: [u8; Self::STORED]) -> Result<Self> {
        let [width, height, channels, green] = bytes;
        let colours = matches!((channels, green), (1, 0) | (3, 0 | 1));
        if width == 0 || height == 0 || !colours {
            let found = format!("a patch of {width} × {height} pixels, {channels} channels, colour {green}");
            return Err(corrupt(found));
        }
        Ok(Self { width, height, channels, green: green != 0 })
    }
}

/// The content of the model file of a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// log2 of the number of steps per octave of weights, 0..=3.
    pub log2_steps: u8,
    /// The patch that forms a record, where records come from pictures.
    pub patch: Option<Patch>,
    /// The alphabets.
    pub alphabets: Vec<Alphabet>,
    /// The nodes, depth first.
    pub nodes: Vec<Shape>,
    /// For each node, the codes of its edge matrix: the parent's states × its states.
    pub edges: Vec<Vec<u8>>,
    /// For each node, the codes of its leaf matrix: classes × states.
    pub leaves: Vec<Vec<u8>>,
}

/// The error for a damaged file.
fn corrupt(message: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("circuit: {message}"))
}

impl Weights {
    /// Reads a model file.
    ///
    /// # Errors
    /// `Truncated`, `Corrupt` or `NewerVersion`; `LimitExceeded` where memory is missing.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        let mut weights = read_header(&mut cursor).map_err(|e| e.at_end("the header of a circuit's file"))?;
        let most = MAX_PARAMETERS.min(65536 + MAX_PER_BYTE * bytes.len() as u64);
        let parameters = weights.parameters();
        if parameters > most {
            return Err(corrupt(format!("{parameters} parameters, at most {most} expected")));
        }
        let mut reader = Reader::new(cursor.rest());
        for i in 0..weights.nodes.len() {
            let (above, states, classes) = weights.sizes(i);
            let edge = read_matrix(&mut reader, Kind::Edge, above, states)?;
            let leaf = read_matrix(&mut reader, Kind::Leaf, classes, states)?;
            weights.edges.push(edge);
            weights.leaves.push(leaf);
        }
        Ok(weights)
    }

    /// The bytes of the model file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        let version = if self.patch.is_some() { VERSION_PATCH } else { VERSION };
        out.extend_from_slice(&version.to_le_bytes());
        out.push(self.log2_steps);
        out.extend_from_slice(&(self.alphabets.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.nodes.len() as u16).to_le_bytes());
        self.patch.iter().for_each(|p| out.extend_from_slice(&p.to_bytes()));
        for a in &self.alphabets {
            out.push((a.class.len() - 1) as u8);
            out.push((a.classes() - 1) as u8);
            out.extend_from_slice(&a.class);
            a.weight.iter().for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
        }
        for n in &self.nodes {
            let parent = n.parent.unwrap_or(NO_PARENT);
            [n.variable, parent, n.alphabet].iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
            out.push((n.states / 2 - 1) as u8);
        }
        let mut writer = Writer::new();
        for i in 0..self.nodes.len() {
            let states = self.sizes(i).1;
            writer.matrix(Kind::Edge, &self.edges[i], states);
            writer.matrix(Kind::Leaf, &self.leaves[i], states);
        }
        out.extend_from_slice(&writer.finish());
        // Keeps the bound on the number of parameters; zeros at the end of the payload change nothing.
        let least = self.parameters().saturating_sub(65536).div_ceil(MAX_PER_BYTE) as usize;
        out.resize(out.len().max(least), 0);
        out
    }

    /// The sizes of a node's matrices: rows of the edge matrix, columns of both, rows of the leaf matrix.
    pub fn sizes(&self, node: usize) -> (usize, usize, usize) {
        let shape = &self.nodes[node];
        let above = shape.parent.map_or(1, |p| self.nodes[usize::from(p)].states.into());
        (above, shape.states.into(), self.alphabets[usize::from(shape.alphabet)].classes())
    }

    /// The number of parameters.
    pub fn parameters(&self) -> u64 {
        let of = |i| {
            let (above, states, classes) = self.sizes(i);
            ((above + classes) * states) as u64
        };
        (0..self.nodes.len()).map(of).sum()
    }

    /// The number of parameters that a file declares, or the most that it may declare where it is damaged.
    pub fn declared(bytes: &[u8]) -> u64 {
        let weights = read_header(&mut Cursor::new(bytes));
        weights.map_or(0, |w| w.parameters()).min(MAX_PARAMETERS)
    }

    /// Whether these bytes begin like a circuit's model file.
    pub fn recognise(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }
}

/// Reads everything but the parameters.
fn read_header(cursor: &mut Cursor<'_>) -> Parsed<Weights> {
    if cursor.take(8)? != MAGIC {
        return Err(corrupt("not a circuit's file").into());
    }
    let version = u16(cursor)?;
    if !matches!(version, VERSION | VERSION_PATCH) {
        let message = format!("needs a newer nzip (version {version} of circuit files)");
        return Err(Error::new(ErrorKind::NewerVersion, message).into());
    }
    let log2_steps = cursor.u8()?;
    let (alphabets, variables) = (usize::from(u16(cursor)?), usize::from(u16(cursor)?));
    if log2_steps > 3 || alphabets == 0 || alphabets > MAX_ALPHABETS || variables == 0 {
        let found = format!("{log2_steps} bits of step, {alphabets} alphabets, {variables} variables");
        return Err(corrupt(found).into());
    }
    let patch = if version == VERSION_PATCH { Some(read_patch(cursor, variables)?) } else { None };
    // An alphabet takes at least 5 bytes and a node 7, so counts that the file cannot hold are refused here.
    cursor.expect(5 * alphabets + 7 * variables)?;
    let alphabets = (0..alphabets).map(|_| read_alphabet(cursor)).collect::<Parsed<Vec<_>>>()?;
    cursor.expect(7 * variables)?;
    let nodes = (0..variables).map(|_| read_shape(cursor)).collect::<Parsed<Vec<_>>>()?;
    check_tree(&nodes, alphabets.len())?;
    Ok(Weights { log2_steps, patch, alphabets, nodes, edges: Vec::new(), leaves: Vec::new() })
}

fn read_patch(cursor: &mut Cursor<'_>, variables: usize) -> Parsed<Patch> {
    let bytes = cursor.take(Patch::STORED)?;
    let patch = Patch::from_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])?;
    if patch.variables() != variables {
        let found = patch.variables();
        return Err(corrupt(format!("a patch of {found} bytes, {variables} variables")).into());
    }
    Ok(patch)
}

fn u16(cursor: &mut Cursor<'_>) -> Parsed<u16> {
    let bytes = cursor.take(2)?;
    Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn read_alphabet(cursor: &mut Cursor<'_>) -> Parsed<Alphabet> {
    let (symbols, classes) = (usize::from(cursor.u8()?) + 1, usize::from(cursor.u8()?) + 1);
    let class = cursor.take(symbols)?.to_vec();
    let weight = (0..symbols).map(|_| u16(cursor)).collect::<Parsed<Vec<_>>>()?;
    let mut used = [false; 256];
    class.iter().for_each(|&c| used[usize::from(c)] = true);
    let complete = used[..classes].iter().all(|&u| u) && !used[classes..].contains(&true);
    if !complete || weight.contains(&0) {
        return Err(corrupt("an alphabet with an empty class or a symbol that has no weight").into());
    }
    Ok(Alphabet { class, weight })
}

fn read_shape(cursor: &mut Cursor<'_>) -> Parsed<Shape> {
    let (variable, parent, alphabet, half) = (u16(cursor)?, u16(cursor)?, u16(cursor)?, cursor.u8()?);
    let parent = Some(parent).filter(|&p| p != NO_PARENT);
    if half > 127 {
        return Err(corrupt(format!("a variable of {} states", 2 * (u32::from(half) + 1))).into());
    }
    Ok(Shape { variable, parent, alphabet, states: 2 * (u16::from(half) + 1) })
}

/// Refuses a list of nodes that is not a single tree in depth-first order with each variable once.
fn check_tree(nodes: &[Shape], alphabets: usize) -> Result<()> {
    let mut seen = vec![false; nodes.len()];
    for (i, n) in nodes.iter().enumerate() {
        let place = |what| Err(corrupt(format!("node {i} (variable {}): {what}", n.variable)));
        match seen.get_mut(usize::from(n.variable)) {
            Some(seen) if !*seen => *seen = true,
            _ => return place("the variable is not there or is given twice"),
        }
        if usize::from(n.alphabet) >= alphabets {
            return place("its alphabet is not there");
        }
        let Some(parent) = n.parent else {
            if i > 0 {
                return place("a second root");
            }
            continue;
        };
        if usize::from(parent) >= i {
            return place("its parent does not come before it");
        }
        let mut ancestor = Some((i - 1) as u16);
        while ancestor.is_some_and(|a| a != parent) {
            ancestor = ancestor.and_then(|a| nodes[usize::from(a)].parent);
        }
        if ancestor.is_none() {
            return place("the order is not depth first");
        }
    }
    Ok(())
}

fn read_matrix(reader: &mut Reader<'_>, kind: Kind, rows: usize, columns: usize) -> Result<Vec<u8>> {
    let mut codes = Vec::new();
    let len = rows * columns;
    codes.try_reserve_exact(len).map_err(|_| Error::limit(format!("no memory for {len} parameters")))?;
    codes.resize(len, 0);
    reader.matrix(kind, &mut codes, columns)?;
    debug_assert!(codes.iter().all(|&c| usize::from(c) < CODES));
    Ok(codes)
}
