//! Files of certificates and keys; a key is never readable by others, not even for a moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::CertificateError;

pub(super) fn create_directory(path: &Path) -> Result<(), CertificateError> {
    fs::create_dir_all(path).map_err(|cause| write_error(path, cause))
}

pub(super) fn read(path: &Path) -> Result<String, CertificateError> {
    fs::read_to_string(path).map_err(|cause| CertificateError::Read { path: path.to_owned(), cause })
}

pub(super) fn write(path: &Path, content: &str) -> Result<(), CertificateError> {
    fs::write(path, content).map_err(|cause| write_error(path, cause))
}

/// Writes a private key, in place of an older one if there is one.
pub(super) fn write_private(path: &Path, content: &str) -> Result<(), CertificateError> {
    match fs::remove_file(path) {
        // Made anew rather than truncated: an older file may have been readable by others, or open already.
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(write_error(path, cause)),
        _ => write_new_private(path, content),
    }
}

/// Writes a private key where there is none yet.
pub(super) fn write_new_private(path: &Path, content: &str) -> Result<(), CertificateError> {
    create_private(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .map_err(|cause| write_error(path, cause))
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn write_error(path: &Path, cause: io::Error) -> CertificateError {
    CertificateError::Write { path: path.to_owned(), cause }
}
