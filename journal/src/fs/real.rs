//! The operating system as a disk.
