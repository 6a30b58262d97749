//! Finding the store of a URL, and the first request.

use super::RemoteOptions;
use crate::error::{Error, Result};
use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{
    ClientConfigKey, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, ObjectStoreScheme,
    RetryConfig,
};
use std::io;
use std::sync::Arc;
use url::{Position, Url};

/// The beginnings of URLs that can be read.
const SCHEMES: [&str; 8] = ["http", "https", "s3", "s3a", "gs", "az", "abfs", "abfss"];

/// Whether a name is a URL that [`super::RemoteFile`] can open.
pub fn is_url(name: &str) -> bool {
    name.split_once("://").is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}

/// The URL of a file below the folder of the file that `url` names. What follows a question mark is dropped: it belongs to
/// one file.
pub fn beside(url: &str, name: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let folder = path.rfind('/').map_or("", |end| &path[..=end]);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=@".contains(&b);
    let part = |b: u8| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") };
    name.bytes().map(part).fold(folder.to_string(), |url, part| url + &part)
}

/// The store that a URL names, and the path in it.
pub(super) fn resolve(url: &str, options: &RemoteOptions) -> Result<(Arc<dyn ObjectStore>, Path)> {
    let bad = |e: &dyn std::fmt::Display| Error::bad_argument(format!("{url:?}: {e}"));
    if !is_url(url) {
        return Err(bad(&format!("a URL that starts with one of {} is expected", SCHEMES.join(", "))));
    }
    let parsed = Url::parse(url).map_err(|e| bad(&e))?;
    let (scheme, path) = ObjectStoreScheme::parse(&parsed).map_err(|e| bad(&e))?;
    let retry = RetryConfig {
        max_retries: options.retries,
        retry_timeout: options.timeout.saturating_mul(options.retries as u32 + 1),
        ..RetryConfig::default()
    };
    let seconds = format!("{} ms", options.timeout.as_millis());
    // The time-out of the whole request would end long answers that arrive steadily.
    let client = [
        (ClientConfigKey::Timeout, "1 day".to_string()),
        (ClientConfigKey::ConnectTimeout, seconds.clone()),
        (ClientConfigKey::ReadTimeout, seconds),
    ];
    let store: object_store::Result<Arc<dyn ObjectStore>> = match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let builder = AmazonS3Builder::from_env().with_url(url).with_retry(retry);
            let set = |b: AmazonS3Builder, (key, value)| b.with_config(AmazonS3ConfigKey::Client(key), value);
            client.into_iter().fold(builder, set).build().map(|s| Arc::new(s) as _)
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(url).with_retry(retry);
            let set = |b: GoogleCloudStorageBuilder, (key, value)| {
                b.with_config(GoogleConfigKey::Client(key), value)
            };
            client.into_iter().fold(builder, set).build().map(|s| Arc::new(s) as _)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(url).with_retry(retry);
            let set =
                |b: MicrosoftAzureBuilder, (key, value)| b.with_config(AzureConfigKey::Client(key), value);
            client.into_iter().fold(builder, set).build().map(|s| Arc::new(s) as _)
        }
        _ => {
            // What follows a question mark belongs to the server's address: links that are signed need it.
            let mut server = parsed[..Position::BeforePath].to_string();
            if let Some(query) = parsed.query() {
                server = format!("{server}/?{query}");
            }
            let builder = HttpBuilder::new().with_url(server).with_retry(retry);
            let set = |b: HttpBuilder, (key, value): (ClientConfigKey, String)| b.with_config(key, value);
            let builder = set(builder, (ClientConfigKey::AllowHttp, "true".into()));
            client.into_iter().fold(builder, set).build().map(|s| Arc::new(s) as _)
        }
    };
    Ok((store.map_err(failure)?, path))
}

/// Describes a file, and reads up to `len` bytes at its end; the last value is the number of requests.
pub(super) async fn tail(
    store: &dyn ObjectStore,
    path: &Path,
    len: u64,
) -> io::Result<(ObjectMeta, Bytes, u64)> {
    let ask = |range| GetOptions { range: Some(range), ..GetOptions::default() };
    let (got, requests) = match store.get_opts(path, ask(GetRange::Suffix(len))).await {
        // Azure has no requests for the end of a file.
        Err(object_store::Error::NotSupported { .. }) => {
            let size = store.head(path).await.map_err(failure)?.size;
            let range = GetRange::Bounded(size.saturating_sub(len)..size);
            (store.get_opts(path, ask(range)).await, 2)
        }
        got => (got, 1),
    };
    if let Err(e @ object_store::Error::Generic { .. }) = &got
        && is_refused_range(&chain(e))
    {
        // No range of a file without bytes can be had.
        let head = store.head(path).await.ok().filter(|meta| meta.size == 0);
        if let Some(meta) = head {
            return Ok((meta, Bytes::new(), requests + 1));
        }
    }
    let got = got.map_err(failure)?;
    let (meta, range) = (got.meta.clone(), got.range.clone());
    if range.end != meta.size || range.end - range.start > len {
        return Err(io::Error::other("the server sent other bytes than those that were asked for"));
    }
    let bytes = super::whole(got.into_stream(), range.end - range.start).await?;
    Ok((meta, bytes, requests))
}

/// Whether an answer says that ranges, or this one, cannot be had.
fn is_refused_range(message: &str) -> bool {
    message.contains("non-partial response") || message.contains("416 Range Not Satisfiable")
}

/// The error for a file that is no longer the one that was opened.
pub(super) fn changed() -> io::Error {
    io::Error::other("the file was changed on the server while it was read")
}

/// An error of a request in the words of this library.
pub(super) fn failure(e: object_store::Error) -> io::Error {
    use object_store::Error as E;
    let all = chain(&e);
    if matches!(e, E::NotSupported { .. }) || all.contains("non-partial response") {
        return io::Error::new(
            io::ErrorKind::Unsupported,
            "the server does not serve ranges of bytes, which reading a remote file needs",
        );
    }
    let kind = match &e {
        E::NotFound { .. } => io::ErrorKind::NotFound,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        E::Precondition { .. } => return changed(),
        _ if all.contains("timed out") => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    let what = match kind {
        io::ErrorKind::NotFound => "the server has no such file".to_string(),
        io::ErrorKind::PermissionDenied => "the server refuses access to the file".to_string(),
        io::ErrorKind::TimedOut => "the server did not answer in time".to_string(),
        _ => format!("the server could not be read: {all}"),
    };
    io::Error::new(kind, what)
}

/// An error and its causes, without repetitions.
fn chain(e: &dyn std::error::Error) -> String {
    let (mut text, mut next) = (e.to_string(), e.source());
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
