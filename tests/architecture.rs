//! The floors of ARCHITECTURE.md, read from the sources: no arrow of use goes up, and no files use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The library's floors, the lowest first. A floor may use itself and those before it.
const FLOORS: [&str; 22] = [
    "error",
    "read_at",
    "remote",
    "random",
    "progress",
    "format",
    "kernel",
    "coder",
    "tensor",
    "model",
    "codec",
    "container",
    "gpu",
    "models",
    "tokens",
    "stream",
    "family",
    "manifest",
    "llm",
    "candle",
    "internal",
    "lib",
];

/// The floors of the folder `codec/tensor`, the lowest first.
const TENSOR: [&str; 5] = ["stored", "kernel", "predictor", "decode", "encode"];

type Module = Vec<String>;

/// The modules of a crate with the paths that each uses.
struct Sources {
    modules: BTreeMap<Module, Vec<Module>>,
    /// Names that a module gives out but another one defines.
    exports: BTreeMap<Module, BTreeMap<String, Module>>,
}

impl Sources {
    fn read(folder: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut texts = BTreeMap::new();
        collect(&root, &mut Vec::new(), &mut texts);
        assert!(texts.len() > 10, "{folder} has sources");
        let mut found = Self { modules: BTreeMap::new(), exports: BTreeMap::new() };
        for (module, text) in &texts {
            let code = code(text);
            let mut exports = BTreeMap::new();
            for tree in statements(&code, "pub use ") {
                let mut paths = Vec::new();
                expand(&tree, &[], &mut paths);
                for path in paths {
                    if let Some((name, source)) = absolute(&path, module, &texts).and_then(|p| split_last(&p))
                    {
                        exports.insert(name, source);
                    }
                }
            }
            found.exports.insert(module.clone(), exports);
            let uses = paths(&code).iter().filter_map(|p| absolute(p, module, &texts)).collect();
            found.modules.insert(module.clone(), uses);
        }
        found
    }

    /// The module that defines what a path names: through re-exports, as long as there are any.
    fn defined_in(&self, path: &[String]) -> Module {
        let mut path = path.to_vec();
        for _ in 0..8 {
            let depth = (0..=path.len()).rev().find(|n| self.modules.contains_key(&path[..*n])).unwrap_or(0);
            let (module, rest) = path.split_at(depth);
            match rest.first().and_then(|name| self.exports[module].get(name)) {
                Some(source) if source != module => {
                    let mut next = source.clone();
                    next.extend_from_slice(rest);
                    path = next;
                }
                _ => return module.to_vec(),
            }
        }
        panic!("re-exports of {path:?} go in a circle")
    }

    /// Arrows between modules, without those from and to the module itself.
    fn arrows(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let arrows = |(module, uses): (&Module, &Vec<Module>)| {
            let targets = uses.iter().map(|u| self.defined_in(u)).filter(|t| t != module).collect();
            (module.clone(), targets)
        };
        self.modules.iter().map(arrows).collect()
    }
}

fn split_last(path: &[String]) -> Option<(String, Module)> {
    let (last, rest) = path.split_last()?;
    Some((last.clone(), rest.to_vec()))
}

fn collect(folder: &Path, module: &mut Module, texts: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        if path.is_dir() {
            module.push(name);
            collect(&path, module, texts);
            module.pop();
        } else if path.extension().is_some_and(|e| e == "rs") && name != "tests" && name != "main" {
            let mut module = module.clone();
            if name != "mod" && name != "lib" {
                module.push(name);
            }
            texts.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

/// Source text without comments, strings and the tests inside.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The text between a keyword at the start of a statement and its semicolon.
fn statements(code: &str, keyword: &str) -> Vec<String> {
    let starts = code.match_indices(keyword).filter(|(i, _)| {
        code[..*i].trim_end().ends_with([';', '}', ']', '{']) || code[..*i].trim().is_empty()
    });
    starts.filter_map(|(i, _)| code[i + keyword.len()..].split(';').next().map(str::to_string)).collect()
}

/// All paths of a tree of use.
fn expand(tree: &str, before: &[String], out: &mut Vec<Module>) {
    let tree = tree.trim();
    let Some((head, group)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        let parts = name.split("::").map(|p| p.trim().to_string()).filter(|p| !p.is_empty());
        let mut path = before.to_vec();
        path.extend(parts.filter(|p| p != "self" || before.is_empty()));
        return out.push(path);
    };
    let mut before = before.to_vec();
    before.extend(head.split("::").map(|p| p.trim().to_string()).filter(|p| !p.is_empty()));
    let group = &group[..group.rfind('}').unwrap_or(group.len())];
    let (mut depth, mut start) = (0, 0);
    for (i, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !group[start..i].trim().is_empty() {
                    expand(&group[start..i], &before, out);
                }
                start = i + 1;
            }
            _ => {}
        }
    }
}

/// All paths that code uses: those of its use statements that are no re-exports, and those that start with `crate` or `super`.
fn paths(code: &str) -> Vec<Module> {
    let mut out = Vec::new();
    for tree in statements(code, "use ") {
        expand(&tree, &[], &mut out);
    }
    for start in ["crate::", "super::"] {
        for (i, _) in code.match_indices(start) {
            let inside =
                code[..i].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '{');
            let path = code[i..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).next();
            if let Some(path) = path.filter(|p| !inside && !p.ends_with("::")) {
                expand(path, &[], &mut out);
            }
        }
    }
    out
}

/// A path from the crate's root; `None` for paths into other crates.
fn absolute(path: &[String], module: &Module, texts: &BTreeMap<Module, String>) -> Option<Module> {
    let mut at = module.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            at.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|p| p == "super") {
                at.pop()?;
                rest = &rest[1..];
            }
        }
        child => {
            let mut inside = at.clone();
            inside.push(child.to_string());
            texts.get(&inside)?;
        }
    }
    at.extend_from_slice(rest);
    Some(at)
}

/// A circle of arrows, if there is one.
fn circle(arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(
        at: &str,
        arrows: &BTreeMap<String, BTreeSet<String>>,
        trail: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(i) = trail.iter().position(|t| t == at) {
            return Some(trail[i..].to_vec());
        }
        if done.contains(at) {
            return None;
        }
        trail.push(at.to_string());
        for next in arrows.get(at).into_iter().flatten() {
            if let Some(found) = walk(next, arrows, trail, done) {
                return Some(found);
            }
        }
        trail.pop();
        done.insert(at.to_string());
        None
    }
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|at| walk(at, arrows, &mut Vec::new(), &mut done))
}

/// The arrows between parts of a folder, as `part` names them; arrows out of the folder are left out.
fn between(
    sources: &Sources,
    folder: &[&str],
    part: impl Fn(&[String]) -> Option<String>,
) -> BTreeMap<String, BTreeSet<String>> {
    let inside = |m: &Module| m.len() >= folder.len() && m.iter().zip(folder).all(|(a, b)| a == b);
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, targets) in sources.arrows().iter().filter(|(from, _)| inside(from)) {
        let Some(a) = part(&from[folder.len()..]) else { continue };
        let parts = targets.iter().filter(|t| inside(t)).filter_map(|t| part(&t[folder.len()..]));
        let entry = out.entry(a.clone()).or_default();
        entry.extend(parts.filter(|b| *b != a));
    }
    out
}

fn file(path: &[String]) -> Option<String> {
    // A folder's own module lists and re-exports; it stands above its files and below nothing.
    (!path.is_empty()).then(|| path.join("/"))
}

#[test]
fn no_arrow_goes_up() {
    let sources = Sources::read("src");
    let floor = |module: &[String]| {
        let name = module.first().map_or("lib", String::as_str);
        FLOORS
            .iter()
            .position(|f| *f == name)
            .unwrap_or_else(|| panic!("{name} has no floor in ARCHITECTURE.md"))
    };
    let mut count = 0;
    for (from, targets) in sources.arrows() {
        for to in targets {
            assert!(
                floor(&to) <= floor(&from),
                "{} uses {}, which is above it",
                from.join("::"),
                to.join("::")
            );
            count += 1;
        }
    }
    assert!(count > 300, "only {count} arrows found");
}

#[test]
fn tensor_has_floors() {
    let sources = Sources::read("src");
    let room = |path: &[String]| path.first().filter(|p| TENSOR.contains(&p.as_str())).cloned();
    let arrows = between(&sources, &["codec", "tensor"], room);
    assert_eq!(arrows.len(), TENSOR.len());
    let floor = |name: &String| TENSOR.iter().position(|f| f == name);
    for (from, targets) in &arrows {
        assert!(targets.iter().all(|to| floor(to) < floor(from)), "{from} uses {targets:?}");
    }
}

#[test]
fn no_circles() {
    let sources = Sources::read("src");
    for folder in
        [&["codec", "tensor"][..], &["stream"], &["container"], &["models"], &["manifest"], &["family"]]
    {
        let arrows = between(&sources, folder, file);
        assert!(arrows.len() > 2, "{folder:?}");
        assert_eq!(circle(&arrows), None, "files of {folder:?}");
    }
    for folder in [&["codec"][..], &["model"], &["coder"], &["coder", "rans"]] {
        // Files and folders; what lies in a folder counts as the folder.
        let arrows = between(&sources, folder, |path| path.first().cloned());
        assert!(arrows.len() > 3, "{folder:?}");
        assert_eq!(circle(&arrows), None, "files and folders of {folder:?}");
    }
    assert_eq!(circle(&between(&Sources::read("cli/src"), &[], file)), None, "files of the command");
    assert_eq!(circle(&between(&Sources::read("train/src"), &[], file)), None, "files of the trainer");
}

#[test]
fn a_circle_is_found() {
    let arrows = |list: &[(&str, &str)]| {
        let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        list.iter().for_each(|(a, b)| _ = out.entry(a.to_string()).or_default().insert(b.to_string()));
        out
    };
    assert_eq!(circle(&arrows(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert!(circle(&arrows(&[("a", "b"), ("b", "c"), ("c", "b")])).is_some());
    let mut paths = Vec::new();
    expand("super::{a::{B, c::D}, self}", &[], &mut paths);
    let joined: Vec<String> = paths.iter().map(|p| p.join("::")).collect();
    assert_eq!(joined, ["super::a::B", "super::a::c::D", "super"]);
}
