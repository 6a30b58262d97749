//! The figures as a table, as comma-separated values and as JSON.

use super::figures::{Cost, Run};
use super::tools::Tool;
use crate::names::hex;
use crate::quantity::{bits_per_byte, ratio};
use crate::table::{Align, Table};

/// The runs with a title above them.
pub fn table(title: &str, runs: &[Run]) -> String {
    let mut table = Table::new([
        ("", Align::Left),
        ("bytes", Align::Right),
        ("with model", Align::Right),
        ("ratio", Align::Right),
        ("bpb", Align::Right),
        ("enc KB/s", Align::Right),
        ("dec KB/s", Align::Right),
        ("enc MiB", Align::Right),
        ("dec MiB", Align::Right),
        ("", Align::Left),
    ]);
    for r in runs {
        table.row([
            r.tool.clone(),
            r.stored.to_string(),
            r.with_models().to_string(),
            format!("{:.3}", ratio(r.raw, r.stored)),
            format!("{:.3}", bits_per_byte(r.raw, r.stored)),
            format!("{:.0}", r.speed(r.encode) / 1000.0),
            format!("{:.0}", r.speed(r.decode) / 1000.0),
            mebibytes(r.encode),
            mebibytes(r.decode),
            if r.good { String::new() } else { "NOT RESTORED".into() },
        ]);
    }
    let raw = runs.first().map_or(0, |r| r.raw);
    format!("{title}: {raw} bytes\n{}\n", table.render())
}

fn mebibytes(cost: Cost) -> String {
    cost.memory.map_or("-".into(), |m| format!("{:.0}", m as f64 / f64::from(1 << 20)))
}

/// One run for each tool: the sums of bytes and times, the largest memory, and every model counted once.
/// Tools that failed on a file are left out.
pub fn totals(runs: &[Run], tools: &[Tool]) -> Vec<Run> {
    let of = |tool: &Tool| runs.iter().filter(|r| r.tool == tool.name).collect::<Vec<_>>();
    let most = tools.iter().map(|t| of(t).len()).max().unwrap_or(0);
    let complete = tools.iter().map(of).filter(|runs| !runs.is_empty() && runs.len() == most);
    complete
        .map(|runs| {
            let mut total = runs[0].clone();
            for r in &runs[1..] {
                total.raw += r.raw;
                total.stored += r.stored;
                total.encode = sum(total.encode, r.encode);
                total.decode = sum(total.decode, r.decode);
                total.good &= r.good;
                total.start = total.start.max(r.start);
                let new: Vec<_> = r.models.iter().filter(|m| !total.models.contains(m)).copied().collect();
                total.models.extend(new);
            }
            total
        })
        .collect()
}

fn sum(a: Cost, b: Cost) -> Cost {
    Cost { seconds: a.seconds + b.seconds, memory: a.memory.max(b.memory) }
}

/// The numeric figures of a run, by name.
fn numbers(r: &Run) -> [(&'static str, String); 9] {
    let memory = |cost: Cost| cost.memory.map_or("null".into(), |m| m.to_string());
    [
        ("raw_bytes", r.raw.to_string()),
        ("stored_bytes", r.stored.to_string()),
        ("stored_with_model_bytes", r.with_models().to_string()),
        ("ratio", format!("{:.5}", ratio(r.raw, r.stored))),
        ("encode_seconds", format!("{:.6}", r.encode.seconds)),
        ("decode_seconds", format!("{:.6}", r.decode.seconds)),
        ("encode_memory_bytes", memory(r.encode)),
        ("decode_memory_bytes", memory(r.decode)),
        ("restored", r.good.to_string()),
    ]
}

/// One line for each run, below a line of names.
pub fn csv(runs: &[Run]) -> String {
    let mut text = String::new();
    for (i, r) in runs.iter().enumerate() {
        let numbers = numbers(r);
        if i == 0 {
            text += &format!("file,compressor,{}\n", numbers.each_ref().map(|n| n.0).join(","));
        }
        let values = numbers.map(|n| n.1.replace("null", ""));
        text += &format!("{},{},{}\n", quoted(&r.file), quoted(&r.tool), values.join(","));
    }
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// An array of objects.
pub fn json(runs: &[Run]) -> String {
    let object = |r: &Run| {
        let numbers = numbers(r).map(|(name, value)| format!("\"{name}\": {value}")).join(", ");
        let models: Vec<_> = r.models.iter().map(|m| format!("\"{}\"", hex(&m.0))).collect();
        format!(
            "  {{\"file\": {}, \"compressor\": {}, {numbers}, \"models\": [{}]}}",
            string(&r.file),
            string(&r.tool),
            models.join(", ")
        )
    };
    format!("[\n{}\n]\n", runs.iter().map(object).collect::<Vec<_>>().join(",\n"))
}

fn string(text: &str) -> String {
    let escape = |c: char| match c {
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(file: &str, stored: u64, model: u8) -> Run {
        let cost = Cost { seconds: 2.0, memory: Some(1 << 20) };
        let models = vec![([model; 32], 50)];
        let (file, tool) = (file.into(), "nzip -1".into());
        Run {
            file,
            tool,
            own: true,
            raw: 1000,
            stored,
            models,
            start: 0,
            encode: cost,
            decode: cost,
            good: true,
        }
    }

    #[test]
    fn models_are_counted_once() {
        let tools = [Tool::own(&["-1".into()], 1, None).unwrap()];
        let runs = [run("a", 100, 1), run("b", 200, 1), run("c", 300, 2)];
        let totals = totals(&runs, &tools);
        assert_eq!((totals[0].raw, totals[0].stored, totals[0].with_models()), (3000, 600, 700));
        assert_eq!(totals[0].encode.seconds, 6.0);
        assert_eq!(totals[0].encode.memory, Some(1 << 20));
    }

    #[test]
    fn names_are_escaped() {
        let runs = [run("a\"b\n", 1, 1)];
        assert!(csv(&runs).contains("\"a\"\"b\n\",\"nzip -1\",1000,1,51,"));
        assert!(json(&runs).contains(r#""file": "a\"b\u000a", "compressor": "nzip -1", "raw_bytes": 1000"#));
    }
}
