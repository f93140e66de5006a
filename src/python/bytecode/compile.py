# Compiles sources from standard input, and writes their bytecode files to standard output.
#
# Python 3.6 and later can parse this program. It runs with `-s -S -B -c` and an environment that
# fixes the hash seed, so that equal input gives equal output. It writes standard output alone.
#
# In:  for each source its name, its time and its text: length (4 bytes) and name, time (8), length
#      (4) and text.
# Out: a line with the marker, the magic number in hexadecimal and the cache tag; then for each
#      source the length (4 bytes) and the bytes of its file, or a length of 0 if this Python
#      rejects the text. All numbers are little endian.
import sys

# With `-c` the first entry is the working directory, whose files must not replace the library's.
sys.path[:] = [entry for entry in sys.path if entry]

import marshal
import warnings
from _frozen_importlib_external import MAGIC_NUMBER

warnings.simplefilter("ignore")
CODE = type((lambda: 0).__code__)
# Up to 3.10 a set is dumped in the order of its hash table, and the hash of None is an address.
UNSORTED = sys.version_info < (3, 11) and sys.implementation.name == "cpython"


# PyPy writes references by more than the code itself, which no order can fix; version 2 has none.
VERSION = marshal.version if sys.implementation.name == "cpython" else 2


def number(value, size):
    return (value & ((1 << (8 * size)) - 1)).to_bytes(size, "little")


def is_placed_by_address(value):
    if isinstance(value, (tuple, frozenset)):
        return any(map(is_placed_by_address, value))
    return value is None or value is Ellipsis


def sets(constant):
    if isinstance(constant, CODE):
        constant = constant.co_consts
    elif isinstance(constant, frozenset) and is_placed_by_address(constant):
        yield constant
    if isinstance(constant, (tuple, frozenset)):
        for part in constant:
            yield from sets(part)


def dumped(code):
    unstable = list(sets(code)) if UNSORTED else []
    if not unstable:
        return marshal.dumps(code, VERSION)
    # Version 2 has no references, so that a set can be sorted in place; inner ones come first.
    data = marshal.dumps(code, 2)
    for found in reversed(unstable):
        parts = sorted(canonical(part) for part in found)
        written = b"".join(canonical(part) for part in found)
        head = b">" + number(len(found), 4)
        data = data.replace(head + written, head + b"".join(parts))
    if marshal.loads(data) != code:
        raise ValueError("a set that cannot be put in order")
    return data


def canonical(value):
    if isinstance(value, frozenset):
        return b">" + number(len(value), 4) + b"".join(sorted(map(canonical, value)))
    if isinstance(value, tuple):
        return b"(" + number(len(value), 4) + b"".join(map(canonical, value))
    return marshal.dumps(value, 2)


def compiled(name, time, text):
    try:
        code = compile(text, name, "exec", 0, True, 0)
        data = dumped(code)
    except Exception:
        # A template, or a source for another version: importing it reports the error.
        return b""
    flags = number(0, 4) if sys.version_info >= (3, 7) else b""
    return MAGIC_NUMBER + flags + number(time, 4) + number(len(text), 4) + data


source = sys.stdin.buffer
target = sys.stdout.buffer


def told():
    return int.from_bytes(source.read(4), "little")


answer = "\nrvenv-bytecode-1:%s:%s\n" % (MAGIC_NUMBER.hex(), sys.implementation.cache_tag)
target.write(answer.encode("ascii"))
while True:
    head = source.read(4)
    if not head:
        break
    name = source.read(int.from_bytes(head, "little")).decode("utf-8")
    time = int.from_bytes(source.read(8), "little")
    data = compiled(name, time, source.read(told()))
    target.write(number(len(data), 4) + data)
target.flush()
