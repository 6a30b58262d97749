//! Reads pickles as data: it builds a tree of what a pickle says and runs nothing. Functions and classes stay
//! names; calls stay a name with arguments, and mean something only to a reader that knows the name.

use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed};
use std::collections::HashMap;

/// The most values that a pickle may make, and the most that may wait on its stack.
const MAX_NODES: usize = 1 << 20;

/// The number of a value.
pub type Id = u32;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node<'p> {
    Int(i64),
    Text(&'p str),
    /// A tuple, list or set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// Module and name of a function or class.
    Global(&'p str, &'p str),
    /// A reference to something outside of the pickle.
    Outside(Id),
    /// A function or class and its arguments.
    Call(Id, Id),
    /// An object and the state that was given to it.
    Object(Id),
    /// Anything else.
    Other,
}

/// The values of a pickle.
#[derive(Debug)]
pub struct Pickle<'p> {
    nodes: Vec<Node<'p>>,
    /// The value that the pickle stands for.
    pub root: Id,
    /// The length of the pickle in bytes.
    pub bytes: usize,
}

impl<'p> Pickle<'p> {
    /// Reads the pickle at the start of these bytes.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] and [`crate::ErrorKind::Truncated`] for bytes that are no pickle, or use
    /// what none of those do that hold tensors; [`crate::ErrorKind::LimitExceeded`] for too many values.
    pub fn read(bytes: &'p [u8]) -> Result<Self> {
        let mut reader = Reader { nodes: Vec::new(), stack: Vec::new(), memo: HashMap::new() };
        let mut c = Cursor::new(bytes);
        let root = reader.run(&mut c).map_err(|e| e.at_end("a pickle"))?;
        Ok(Self { nodes: reader.nodes, root, bytes: c.pos() })
    }

    /// A value. Values may contain themselves.
    pub fn get(&self, id: Id) -> &Node<'p> {
        self.nodes.get(id as usize).unwrap_or(&Node::Other)
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }
}

struct Reader<'p> {
    nodes: Vec<Node<'p>>,
    /// Values, and marks (`None`).
    stack: Vec<Option<Id>>,
    memo: HashMap<u32, Id>,
}

fn bad(what: &str) -> Error {
    Error::corrupt(format!("pickle: {what}"))
}

impl<'p> Reader<'p> {
    fn run(&mut self, c: &mut Cursor<'p>) -> Parsed<Id> {
        loop {
            let op = c.u8()?;
            if op == b'.' {
                return Ok(self.pop()?);
            }
            self.step(op, c)?;
        }
    }

    fn step(&mut self, op: u8, c: &mut Cursor<'p>) -> Parsed<()> {
        let node = match op {
            0x80 => return c.u8().map(drop),  // protocol
            0x95 => return c.u64().map(drop), // frame
            b'(' => return Ok(self.mark()?),
            b'0' => return Ok(self.stack.pop().map(drop).ok_or_else(|| bad("an empty stack"))?),
            b'1' => return Ok(self.take_marked().map(drop)?),
            b'q' => return Ok(self.remember(c.u8()?.into())?),
            b'r' => return Ok(self.remember(c.u32()?)?),
            0x94 => return Ok(self.remember(self.memo.len() as u32)?),
            b'h' => return Ok(self.recall(c.u8()?.into())?),
            b'j' => return Ok(self.recall(c.u32()?)?),
            b's' | b'u' | b'a' | b'e' | 0x90 => return Ok(self.fill(op)?),
            b'b' => return Ok(self.build()?),
            b'N' | 0x88 | 0x89 => Node::Other,
            b'G' => c.u64().map(|_| Node::Other)?,
            b'K' => Node::Int(c.u8()?.into()),
            b'M' => Node::Int(c.u16()?.into()),
            b'J' => Node::Int((c.u32()? as i32).into()),
            0x8A => long(c)?,
            b'X' => text(c.u32()?.into(), c)?,
            0x8C => text(c.u8()?.into(), c)?,
            0x8D => text(c.u64()?, c)?,
            b'U' | b'C' => skip(c.u8()?.into(), c)?,
            b'T' | b'B' => skip(c.u32()?.into(), c)?,
            0x8E => skip(c.u64()?, c)?,
            b'}' => Node::Dict(Vec::new()),
            b')' | b']' | 0x8F => Node::List(Vec::new()),
            b't' | b'l' | 0x91 => Node::List(self.take_marked()?),
            b'd' => Node::Dict(pairs(&self.take_marked()?)?),
            0x85..=0x87 => self.tuple(usize::from(op - 0x84))?,
            b'c' => Node::Global(line(c)?, line(c)?),
            0x93 => self.global()?,
            b'Q' => Node::Outside(self.pop()?),
            b'R' | 0x81 => self.call()?,
            other => return Err(bad(&format!("instruction {other:#04x}")).into()),
        };
        Ok(self.push(node)?)
    }

    fn push(&mut self, node: Node<'p>) -> Result<()> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Error::limit(format!("a pickle of more than {MAX_NODES} values")));
        }
        self.nodes.push(node);
        self.push_id(Some(self.nodes.len() as Id - 1))
    }

    fn push_id(&mut self, id: Option<Id>) -> Result<()> {
        if self.stack.len() >= MAX_NODES {
            return Err(Error::limit(format!("a pickle's stack of more than {MAX_NODES} values")));
        }
        self.stack.push(id);
        Ok(())
    }

    fn mark(&mut self) -> Result<()> {
        self.push_id(None)
    }

    fn pop(&mut self) -> Result<Id> {
        self.stack.pop().flatten().ok_or_else(|| bad("a value expected"))
    }

    fn last(&self) -> Result<Id> {
        self.stack.last().copied().flatten().ok_or_else(|| bad("a value expected"))
    }

    /// Takes all values above the last mark, and the mark.
    fn take_marked(&mut self) -> Result<Vec<Id>> {
        let mark = self.stack.iter().rposition(Option::is_none).ok_or_else(|| bad("a mark expected"))?;
        let values = self.stack.split_off(mark);
        Ok(values.into_iter().flatten().collect())
    }

    fn remember(&mut self, key: u32) -> Result<()> {
        let id = self.last()?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<()> {
        let id = *self.memo.get(&key).ok_or_else(|| bad("a value that was not kept"))?;
        self.push_id(Some(id))
    }

    fn tuple(&mut self, len: usize) -> Result<Node<'p>> {
        let mut values = (0..len).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        values.reverse();
        Ok(Node::List(values))
    }

    fn global(&mut self) -> Result<Node<'p>> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (&self.nodes[module as usize], &self.nodes[name as usize]) {
            (Node::Text(module), Node::Text(name)) => Ok(Node::Global(module, name)),
            _ => Err(bad("a function without a name")),
        }
    }

    fn call(&mut self) -> Result<Node<'p>> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let is_dict = self.nodes[function as usize] == Node::Global("collections", "OrderedDict");
        Ok(if is_dict { Node::Dict(Vec::new()) } else { Node::Call(function, arguments) })
    }

    /// Adds what was pushed last to the dictionary, list or set below it.
    fn fill(&mut self, op: u8) -> Result<()> {
        let values = match op {
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                vec![key, value]
            }
            b'a' => vec![self.pop()?],
            _ => self.take_marked()?,
        };
        let into = self.last()? as usize;
        match (op, &mut self.nodes[into]) {
            (b's' | b'u', Node::Dict(entries)) => entries.extend(pairs(&values)?),
            (b'a' | b'e' | 0x90, Node::List(list)) => list.extend(values),
            // Items of an object that a call made.
            _ => {}
        }
        Ok(())
    }

    /// Gives an object its state.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let object = self.last()? as usize;
        if matches!(self.nodes[object], Node::Call(..)) {
            self.nodes[object] = Node::Object(state);
        }
        Ok(())
    }
}

fn pairs(values: &[Id]) -> Result<Vec<(Id, Id)>> {
    let (pairs, rest) = values.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|p| (p[0], p[1])).collect())
    } else {
        Err(bad("a key without a value"))
    }
}

fn text<'p>(len: u64, c: &mut Cursor<'p>) -> Parsed<Node<'p>> {
    let bytes = c.take(usize::try_from(len).unwrap_or(usize::MAX))?;
    Ok(std::str::from_utf8(bytes).map_or(Node::Other, Node::Text))
}

fn skip<'p>(len: u64, c: &mut Cursor<'p>) -> Parsed<Node<'p>> {
    c.take(usize::try_from(len).unwrap_or(usize::MAX))?;
    Ok(Node::Other)
}

/// An integer of any length; [`Node::Other`] for those that do not fit 64 bits.
fn long<'p>(c: &mut Cursor<'p>) -> Parsed<Node<'p>> {
    let len = c.u8()?.into();
    let bytes = c.take(len)?;
    if bytes.len() > 8 {
        return Ok(Node::Other);
    }
    let sign = if bytes.last().is_some_and(|b| *b >= 0x80) { 0xFF } else { 0 };
    let mut wide = [sign; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Ok(Node::Int(i64::from_le_bytes(wide)))
}

/// The rest of a line.
fn line<'p>(c: &mut Cursor<'p>) -> Parsed<&'p str> {
    let rest = c.rest();
    let len = rest.iter().position(|b| *b == b'\n').ok_or_else(|| bad("a line without an end"))?;
    let bytes = c.take(len + 1)?;
    Ok(std::str::from_utf8(&bytes[..len]).map_err(|_| bad("a name that is not UTF-8"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_pickle() {
        // {"a": [1, -2, 70000], "b": (big,)} with the list kept and used twice.
        let mut bytes = b"\x80\x02}q\0(X\x01\0\0\0a](K\x01J\xFE\xFF\xFF\xFFJ\x70\x11\x01\0eq\x01".to_vec();
        bytes.extend(b"X\x01\0\0\0b\x8A\x05\0\0\0\0\x01\x85X\x01\0\0\0ch\x01u.");
        let p = Pickle::read(&bytes).unwrap();
        let Node::Dict(entries) = p.get(p.root) else { panic!() };
        assert_eq!(entries.len(), 3);
        let Node::List(list) = p.get(entries[0].1) else { panic!() };
        let ints: Vec<_> = list.iter().map(|i| p.get(*i).clone()).collect();
        assert_eq!(ints, [Node::Int(1), Node::Int(-2), Node::Int(70000)]);
        assert_eq!(entries[2].1, entries[0].1);
        let Node::List(tuple) = p.get(entries[1].1) else { panic!() };
        assert_eq!(p.get(tuple[0]), &Node::Int(1 << 32));
        for cut in 0..bytes.len() {
            assert!(Pickle::read(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn calls_stay_names() {
        let p = Pickle::read(b"cos\nsystem\nX\x02\0\0\0ls\x85R.").unwrap();
        let Node::Call(function, _) = p.get(p.root) else { panic!() };
        assert_eq!(p.get(*function), &Node::Global("os", "system"));
    }

    #[test]
    fn bad_pickles_are_errors() {
        for bytes in [
            &b"."[..],
            b"e.",
            b"t.",
            b"K\x01\x87.",
            b"h\0.",
            b"}K\x01s.",
            b"(K\x01d.",
            b"\xFF.",
            b"ios\nx\n.",
        ] {
            assert!(Pickle::read(bytes).is_err(), "{bytes:?}");
        }
        // A list in itself, and marks without end.
        assert!(Pickle::read(b"]q\0h\0a.").is_ok());
        assert!(Pickle::read(&b"(".repeat(MAX_NODES + 1)).is_err());
        assert!(Pickle::read(&b")0".repeat(MAX_NODES + 1)).is_err());
    }
}
