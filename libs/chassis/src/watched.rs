//! Files and secrets that may change while the process runs. Knows how to notice; it must not know what they are for,
//! and never prints them.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use agora_vocab::Secret;

/// Interval at which a file is read again: at most, and at least while a change is awaited.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Largest file that is taken, in bytes: settings, keys and certificates are far smaller.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file whose text is read again at most once a second. Clones share what was read; each notices changes by itself.
///
/// A file that has become unreadable or empty keeps its last text, and says so in the log once.
#[derive(Clone)]
pub struct WatchedFile {
    source: Arc<Source>,
    seen: u64,
}

struct Source {
    /// `None`: a text that never changes.
    path: Option<PathBuf>,
    state: Mutex<State>,
}

struct State {
    text: Arc<str>,
    revision: u64,
    checked: Instant,
    unreadable: bool,
}

impl WatchedFile {
    /// Reads the file for the first time; fails when it cannot be read, is empty, over 1 MiB or not UTF-8.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let text = read(&path)?;
        Ok(Self::holding(Some(path), text))
    }

    /// A text that never changes.
    pub fn fixed(text: impl Into<String>) -> Self {
        Self::holding(None, text.into())
    }

    /// The text as it was at most a second ago.
    pub fn current(&self) -> Arc<str> {
        let mut state = self.source.state();
        if state.checked.elapsed() >= POLL_INTERVAL {
            self.source.read_again(&mut state);
        }
        state.text.clone()
    }

    /// Waits until the text differs from what this clone returned here before, or was made with. May be cancelled
    /// without losing a change. Waits for ever on a fixed text.
    pub async fn changed(&mut self) -> Arc<str> {
        if self.source.path.is_none() {
            return std::future::pending().await;
        }
        loop {
            if let Some(text) = self.news() {
                return text;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Where the text comes from; `None` for a fixed one.
    pub fn path(&self) -> Option<&Path> {
        self.source.path.as_deref()
    }

    fn news(&mut self) -> Option<Arc<str>> {
        let mut state = self.source.state();
        self.source.read_again(&mut state);
        if state.revision == self.seen {
            return None;
        }
        self.seen = state.revision;
        Some(state.text.clone())
    }

    fn holding(path: Option<PathBuf>, text: String) -> Self {
        let state = State { text: text.into(), revision: 0, checked: Instant::now(), unreadable: false };
        Self { source: Arc::new(Source { path, state: Mutex::new(state) }), seen: 0 }
    }
}

impl Source {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads in place: such files are a page of memory in a mounted volume, cheaper than handing the read to a thread.
    fn read_again(&self, state: &mut State) {
        state.checked = Instant::now();
        let Some(path) = &self.path else { return };
        match read(path) {
            Ok(text) => {
                state.unreadable = false;
                if *text != *state.text {
                    state.text = text.into();
                    state.revision += 1;
                }
            }
            Err(error) if !state.unreadable => {
                state.unreadable = true;
                tracing::warn!(path = %path.display(), %error, "file is not readable any more; its last text stays");
            }
            Err(_) => {}
        }
    }
}

/// Not the text: it may be a key.
impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFile").field("path", &self.source.path).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is over 1 MiB"));
    }
    let text = std::fs::read_to_string(path)?;
    if text.trim().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"));
    }
    Ok(text)
}

/// A secret that may be rotated while the process runs: from a watched file, less its last line break, or fixed.
#[derive(Clone)]
pub struct WatchedSecret(WatchedFile);

impl WatchedSecret {
    /// A secret that never changes.
    pub fn fixed(secret: impl Into<String>) -> Self {
        Self(WatchedFile::fixed(secret))
    }

    /// A secret in a file.
    pub fn in_file(file: WatchedFile) -> Self {
        Self(file)
    }

    /// The secret as it was at most a second ago.
    pub fn current(&self) -> Secret {
        secret(&self.0.current())
    }

    /// Waits for another value than this clone has seen; see [`WatchedFile::changed`].
    pub async fn changed(&mut self) -> Secret {
        secret(&self.0.changed().await)
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.trim_end_matches(['\r', '\n']))
}

impl fmt::Debug for WatchedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchedSecret").field(&self.0.source.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::{WatchedFile, WatchedSecret};

    #[tokio::test]
    async fn a_rotated_secret_is_noticed_and_loses_its_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "old\n").unwrap();
        let mut secret = WatchedSecret::in_file(WatchedFile::open(&path).unwrap());
        assert_eq!(secret.current().expose(), "old");

        let nothing = tokio::time::timeout(Duration::from_millis(50), secret.changed()).await;
        assert!(nothing.is_err(), "nothing has changed");

        fs::write(&path, "new\r\n").unwrap();
        assert_eq!(secret.changed().await.expose(), "new");
        assert_eq!(secret.current().expose(), "new");
    }

    #[tokio::test]
    async fn each_clone_notices_each_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "one").unwrap();
        let mut first = WatchedFile::open(&path).unwrap();
        let mut second = first.clone();
        fs::write(&path, "two").unwrap();
        assert_eq!(&*first.changed().await, "two");
        assert_eq!(&*second.changed().await, "two");
    }

    #[tokio::test]
    async fn a_file_that_vanishes_or_is_emptied_keeps_its_last_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "one").unwrap();
        let mut file = WatchedFile::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(file.news().is_none());
        fs::write(&path, "").unwrap();
        assert!(file.news().is_none());
        assert_eq!(&*file.current(), "one");
        fs::write(&path, "two").unwrap();
        assert_eq!(&*file.changed().await, "two");
    }

    #[test]
    fn neither_prints_what_it_holds() {
        let secret = WatchedSecret::fixed("hunter2");
        assert!(!format!("{secret:?} {:#?} {:?}", secret, WatchedFile::fixed("hunter2")).contains("hunter2"));
    }
}
