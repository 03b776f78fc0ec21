//! The files of a state directory.
//!
//! ```text
//!   lock          held by the process that serves
//!   setup.lock    held for a moment while the files below are first made
//!   endpoint      the URL of the API
//!   credentials/  certificates and tokens
//!   store/        the cluster itself
//!   processes/    logs and working folders of containers that really run
//! ```

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::Error;
use super::credentials::Credentials;

/// A state directory whose files are there.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    root: PathBuf,
    pub(super) credentials: Credentials,
}

impl Directory {
    /// Opens a directory and makes what is missing, one process at a time.
    pub(super) fn open(root: &Path, tls: bool) -> Result<Self, Error> {
        make_directory(root)?;
        make_directory(&root.join("store"))?;
        let setup = open_lock(&root.join("setup.lock"))?;
        setup.lock().map_err(|source| file_error(&root.join("setup.lock"), source))?;
        let credentials = Credentials::load_or_make(&root.join("credentials"))?;
        let directory = Self { root: root.to_owned(), credentials };
        if !directory.endpoint_path().exists() {
            let port = free_port().map_err(|source| file_error(root, source))?;
            directory.record_endpoint(tls, port)?;
        }
        Ok(directory)
    }

    /// Removes the cluster, but not its address and credentials.
    pub(super) fn reset(root: &Path) -> Result<(), Error> {
        if !root.exists() {
            return Ok(());
        }
        let lock = open_lock(&root.join("lock"))?;
        lock.try_lock().map_err(|_| Error::InUse(root.to_owned()))?;
        for folder in ["store", "processes"].map(|name| root.join(name)) {
            match fs::remove_dir_all(&folder) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(file_error(&folder, source));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    pub(super) fn processes(&self) -> PathBuf {
        self.root.join("processes")
    }

    /// The file whose lock the serving process holds.
    pub(super) fn lock_file(&self) -> Result<File, Error> {
        open_lock(&self.root.join("lock"))
    }

    pub(super) fn endpoint(&self) -> String {
        fs::read_to_string(self.endpoint_path()).unwrap_or_default().trim().to_owned()
    }

    pub(super) fn has_tls(&self) -> bool {
        self.endpoint().starts_with("https://")
    }

    /// Where the API listens.
    pub(super) fn address(&self) -> SocketAddr {
        let endpoint = self.endpoint();
        let address = endpoint.rsplit("//").next().and_then(|address| address.parse().ok());
        address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Remembers another port, when the old one was taken by a stranger.
    pub(super) fn record_endpoint(&self, tls: bool, port: u16) -> Result<(), Error> {
        let scheme = if tls { "https" } else { "http" };
        let path = self.endpoint_path();
        let fresh = path.with_extension("new");
        let text = format!("{scheme}://127.0.0.1:{port}\n");
        fs::write(&fresh, text)
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(|source| file_error(&path, source))
    }

    fn endpoint_path(&self) -> PathBuf {
        self.root.join("endpoint")
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn make_directory(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|source| file_error(path, source))
}

fn open_lock(path: &Path) -> Result<File, Error> {
    let options = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    options.map_err(|source| file_error(path, source))
}

pub(super) fn file_error(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}
