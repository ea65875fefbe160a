"""The smallest shared library that ldconfig accepts: a name and no code.

A lab host has NVIDIA's libraries by name and version, as `ldconfig -p` and a probe see them; whoever loads one finds no
function in it and has to do without the GPU, as with a driver that cannot be used.
"""

import struct

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<QQ")
_SHARED, _X86_64, _LOAD, _TABLE = 3, 62, 1, 2
_DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT, _DT_SONAME = 4, 5, 6, 10, 11, 14
_SYMBOL_BYTES = 24


def shared_object(soname: str) -> bytes:
    """A valid ELF library for x86-64 whose name is `soname`, without a symbol."""
    dynamic_at = _HEADER.size + 2 * _SEGMENT.size
    dynamic_bytes = 7 * _DYNAMIC.size
    symbols_at = dynamic_at + dynamic_bytes
    hash_at = symbols_at + _SYMBOL_BYTES
    hash_table = struct.pack("<4I", 1, 1, 0, 0)  # one bucket, one (empty) symbol
    strings_at = hash_at + len(hash_table)
    strings = b"\0" + soname.encode() + b"\0"
    size = strings_at + len(strings)

    entries = (
        (_DT_SONAME, 1),
        (_DT_HASH, hash_at),
        (_DT_STRTAB, strings_at),
        (_DT_SYMTAB, symbols_at),
        (_DT_STRSZ, len(strings)),
        (_DT_SYMENT, _SYMBOL_BYTES),
        (0, 0),
    )
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    return b"".join(
        (
            _HEADER.pack(
                identity, _SHARED, _X86_64, 1, 0, _HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, 2, 64, 0, 0
            ),
            # The dynamic linker writes absolute addresses into its table: readable and writable.
            _SEGMENT.pack(_LOAD, 6, 0, 0, 0, size, size, 0x1000),
            _SEGMENT.pack(_TABLE, 6, dynamic_at, dynamic_at, dynamic_at, dynamic_bytes, dynamic_bytes, 8),
            *(_DYNAMIC.pack(*entry) for entry in entries),
            bytes(_SYMBOL_BYTES),
            hash_table,
            strings,
        )
    )
