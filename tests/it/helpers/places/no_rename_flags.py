"""Starts a command whose kernel knows no flags of renameat2: any but 0 are invalid."""
import ctypes
import os
import struct
import sys

RENAMEAT2 = {"x86_64": 316, "aarch64": 276}[os.uname().machine]
EINVAL = 22
SET_NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
NUMBER, FLAGS = 0, 16 + 8 * 4

rules = [
    (LOAD, 0, 0, NUMBER),
    (EQUAL, 0, 3, RENAMEAT2),
    (LOAD, 0, 0, FLAGS),
    (EQUAL, 1, 0, 0),
    (RETURN, 0, 0, FAIL | EINVAL),
    (RETURN, 0, 0, ALLOW),
]


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("rules", ctypes.c_char_p)]


libc = ctypes.CDLL(None, use_errno=True)
program = Program(len(rules), b"".join(struct.pack("HBBI", *rule) for rule in rules))
for words in (SET_NO_NEW_PRIVS, 1, 0, 0, 0), (SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0):
    if libc.prctl(*words) != 0:
        sys.exit("skipped: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
