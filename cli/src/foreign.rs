//! Files that are already compressed.

use std::path::Path;

/// Suffixes of files that hardly become smaller.
const NAMES: [&str; 43] = [
    "7z", "aac", "apk", "avi", "avif", "br", "bz2", "bz3", "docx", "epub", "flac", "gif", "gz", "heic",
    "jar", "jpeg", "jpg", "jxl", "lz", "lz4", "lzma", "lzo", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "ogg",
    "opus", "png", "pptx", "rar", "tbz2", "tgz", "txz", "webm", "webp", "whl", "xlsx", "xz", "zip", "zst",
];

/// Whether a file's name says that it is already compressed.
pub fn is_compressed(path: &Path) -> bool {
    let end = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    end.is_some_and(|end| NAMES.binary_search(&end.as_str()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell() {
        assert!(NAMES.is_sorted());
        assert!(is_compressed(Path::new("a/b.JPG")) && is_compressed(Path::new("x.tar.gz")));
        assert!(!is_compressed(Path::new("gz")) && !is_compressed(Path::new("a.txt")));
    }
}
