//! The three calls of Windows that std does not have in safe form.
//!
//! Promises that a rename to a taken name fails, in one step, and that an object is told by its index and its
//! time of birth, whatever its name. Does not promise that the index outlives the object (FAT gives it out again).
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

/// Windows counts from 1601 on; this many seconds lie before 1970.
const SECONDS_BEFORE_1970: i64 = 11_644_473_600;
const TICKS_PER_SECOND: u64 = 10_000_000;

/// What std does not tell of an open file.
pub(super) struct Information {
    pub(super) index: u64,
    pub(super) links: u64,
    pub(super) born: (i64, u32),
    pub(super) written: (i64, u32),
}

pub(super) fn information(file: &File) -> io::Result<Information> {
    let mut told = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open as long as `file` is borrowed, and `told` is a structure of the right type.
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

/// The present path of an open object, in the form that no limit of length and no rewriting applies to.
pub(super) fn path_of(file: &File) -> io::Result<PathBuf> {
    let mut buffer = vec![0_u16; 512];
    loop {
        let len_max = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        // SAFETY: the handle is open as long as `file` is borrowed, and the buffer has the length that is given.
        let told = unsafe {
            GetFinalPathNameByHandleW(file.as_raw_handle(), buffer.as_mut_ptr(), len_max, 0)
        };
        match buffer.get(..told as usize) {
            Some([]) => return Err(io::Error::last_os_error()),
            // When all of it fits, its length is told without the NUL at the end; else the length that it needs.
            Some(path) if told < len_max => return Ok(OsString::from_wide(path).into()),
            Some(_) | None => buffer.resize(told as usize + 1, 0),
        }
    }
}

/// Moves a file or a directory on its volume, unless the new name is taken.
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
