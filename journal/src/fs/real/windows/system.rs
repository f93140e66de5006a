//! The three Windows calls that std does not offer in safe form.
//!
//! Promises that a rename to an existing name fails, in one step, and that an object is identified
//! by its index and its birth time, whatever its name is.
//! Does not promise that an index stays unique after its object is deleted (FAT reuses it).
//! Read next: `../windows.rs`.

#![expect(
    unsafe_code,
    reason = "foreign functions; each is one call on values made here"
)]

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};

use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, GetFileInformationByHandle, GetFinalPathNameByHandleW, MoveFileExW,
};

/// Windows counts time from 1601; this many seconds lie between then and 1970.
const SECONDS_BEFORE_1970: i64 = 11_644_473_600;
const TICKS_PER_SECOND: u64 = 10_000_000;

/// What std does not report about an open file.
pub(super) struct Information {
    pub(super) index: u64,
    pub(super) links: u64,
    pub(super) born: (i64, u32),
    pub(super) written: (i64, u32),
}

pub(super) fn information(file: &File) -> io::Result<Information> {
    let mut told = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open as long as `file` is borrowed, and `told` is a structure of the
    // right type.
    let done = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut told) };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Information {
        index: wide(told.nFileIndexHigh, told.nFileIndexLow),
        links: told.nNumberOfLinks.into(),
        born: time(told.ftCreationTime),
        written: time(told.ftLastWriteTime),
    })
}

/// The current path of an open object, in the form without a length limit and without
/// normalisation.
pub(super) fn path_of(file: &File) -> io::Result<PathBuf> {
    let mut buffer = vec![0_u16; 512];
    loop {
        let len_max = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        // SAFETY: the handle is open as long as `file` is borrowed, and the buffer has the length
        // that is given.
        let told = unsafe {
            GetFinalPathNameByHandleW(file.as_raw_handle(), buffer.as_mut_ptr(), len_max, 0)
        };
        match buffer.get(..told as usize) {
            Some([]) => return Err(io::Error::last_os_error()),
            // If the path fits, the call returns its length without the final NUL; otherwise it
            // returns the length that it needs.
            Some(path) if told < len_max => return Ok(OsString::from_wide(path).into()),
            Some(_) | None => buffer.resize(told as usize + 1, 0),
        }
    }
}

/// Renames a file or a directory within its volume, unless the new name exists.
pub(super) fn rename_to_free_name(old: &Path, new: &Path) -> io::Result<()> {
    let (old, new) = (nul_ended(old), nul_ended(new));
    // SAFETY: both texts end with NUL and outlive the call.
    let done = unsafe { MoveFileExW(old.as_ptr(), new.as_ptr(), 0) };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn nul_ended(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

fn wide(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn time(told: FILETIME) -> (i64, u32) {
    let ticks = wide(told.dwHighDateTime, told.dwLowDateTime);
    let seconds = i64::try_from(ticks / TICKS_PER_SECOND).unwrap_or_default();
    let nanos = u32::try_from(ticks % TICKS_PER_SECOND * 100).unwrap_or_default();
    (seconds - SECONDS_BEFORE_1970, nanos)
}
