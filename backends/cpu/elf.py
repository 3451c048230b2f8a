"""Reads an ELF object's symbol table: what it defines and what it needs, known before anything is linked."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from xmlc.dialects.diagnostics import CompileError

SYMBOL_TABLE = 2  # section type
LOCAL, FUNCTION_TYPES = 0, (0, 1, 2)  # binding; types: unspecified, object, function
HIDDEN = (1, 2)  # visibility: internal, hidden
MACHINES: dict[int, str] = {62: "x86_64", 183: "aarch64", 243: "riscv64"}


@dataclass(frozen=True)
class ElfSymbols:
    """Names a relocatable object exports, and names it expects others to define."""

    architecture: str
    defined: frozenset[str]
    undefined: frozenset[str]


def elf_symbols(image: bytes) -> ElfSymbols:
    """The global symbols of a 64-bit little-endian ELF object (System V ABI, ELF-64 object file format).

    CompileError where the bytes are something else, or cut short.
    """
    if image[:6] != b"\x7fELF\x02\x01":
        raise CompileError("not an object file for this machine", hint="compile it again")
    try:
        return read_symbols(image)
    except (struct.error, ValueError, IndexError) as error:
        raise CompileError("the object file is damaged", hint="compile it again") from error


def read_symbols(image: bytes) -> ElfSymbols:
    (machine,) = struct.unpack_from("<H", image, 0x12)
    (table_at,) = struct.unpack_from("<Q", image, 0x28)
    entry_size, count = struct.unpack_from("<HH", image, 0x3A)
    # name, type, flags, address, offset, size, link, info, alignment, entry size
    sections = [struct.unpack_from("<IIQQQQIIQQ", image, table_at + entry_size * i) for i in range(count)]
    defined: set[str] = set()
    undefined: set[str] = set()
    for section in sections:
        if section[1] != SYMBOL_TABLE:
            continue
        names_at = sections[section[6]][4]
        for position in range(section[4], section[4] + section[5], 24):
            name, info, other, index = struct.unpack_from("<IBBH", image, position)
            if info >> 4 == LOCAL or info & 15 not in FUNCTION_TYPES:
                continue
            start = names_at + name
            text = image[start : image.index(b"\0", start)].decode()
            if index == 0:
                undefined.add(text)
            elif other & 3 not in HIDDEN:
                defined.add(text)
    return ElfSymbols(MACHINES.get(machine, "unknown"), frozenset(defined), frozenset(undefined))
