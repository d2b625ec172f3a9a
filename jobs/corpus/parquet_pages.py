"""How large the pages of a Parquet file's columns are, read from their headers before any of them is unpacked.

A file of a kilobyte can hold a page that unpacks to gigabytes, or one long value that a thousand rows share. The
footer's sizes prove nothing, since nobody checks them; the header of a page is what its buffer is made after. Headers
are Thrift structures in the compact protocol (https://github.com/apache/parquet-format, `PageHeader`), of which two
numbers are of interest; pyarrow does not show them.
"""

from __future__ import annotations

import os
from typing import BinaryIO

import pyarrow.parquet as pq

_HEADER_BYTES = 4_096
_LONGEST_HEADER = 16 << 20
_STOP, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 0, 7, 8, 9, 10, 12
_VALUELESS = (1, 2)
_UNPACKED_SIZE, _PACKED_SIZE = 2, 3
_DEEPEST = 16


def largest_page(data: BinaryIO, chunk: pq.ColumnChunkMetaData) -> int:
    """The most bytes that one page of a column chunk unpacks to. No value in it is longer.

    Stops at bytes that are not a header: the reader, which follows the same rules, stops there too.
    """
    position = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None and chunk.has_dictionary_page:
        position = min(position, chunk.dictionary_page_offset)
    stop, largest = position + chunk.total_compressed_size, 0
    while position < stop:
        header = _header(data, position)
        if header is None:
            break
        unpacked, packed, length = header
        largest = max(largest, unpacked)
        position += length + packed
    return largest


def _header(data: BinaryIO, position: int) -> tuple[int, int, int] | None:
    """Unpacked size, packed size and the header's own length in bytes; None where there is no header."""
    size = _HEADER_BYTES
    while size <= _LONGEST_HEADER:
        data.seek(position, os.SEEK_SET)
        start = data.read(size)
        reader = _Compact(start)
        try:
            fields = reader.struct()
        except IndexError:  # the header goes on behind what was read, if anything does
            if len(start) < size:
                return None
            size *= 16
            continue
        except ValueError:
            return None
        unpacked, packed = fields.get(_UNPACKED_SIZE, -1), fields.get(_PACKED_SIZE, -1)
        return (unpacked, packed, reader.at) if unpacked >= 0 and packed >= 0 else None
    return None


class _Compact:
    """A walk over one Thrift structure that keeps the integers at its top."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self, depth: int = 0) -> dict[int, int]:
        """The structure's own integers by their field number; all else is passed over.

        Raises IndexError where the bytes end too early and ValueError where they are not a structure.
        """
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        integers: dict[int, int] = {}
        field = 0
        while (head := self._byte()) != _STOP:
            delta, kind = head >> 4, head & 0x0F
            field = field + delta if delta else self._integer()
            value = self._value(kind, depth)
            if value is not None:
                integers[field] = value
        return integers

    def _value(self, kind: int, depth: int) -> int | None:
        if kind in _VALUELESS:
            return None
        if kind == 3:
            self.at += 1
            return None
        if kind in (4, 5, 6):
            return self._integer()
        if kind == _DOUBLE:
            self.at += 8
        elif kind == _BINARY:
            self.at += self._unsigned()
        elif kind in (_LIST, _SET):
            self._list(depth)
        elif kind == _STRUCT:
            self.struct(depth + 1)
        else:
            raise ValueError(f"no header has a field of type {kind}")
        if self.at > len(self._data):
            raise IndexError
        return None

    def _list(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._unsigned()
        for _ in range(count):
            if head & 0x0F in _VALUELESS:
                self._byte()
            else:
                self._value(head & 0x0F, depth)

    def _byte(self) -> int:
        value = self._data[self.at]
        self.at += 1
        return value

    def _unsigned(self) -> int:
        result = shift = 0
        while True:
            byte = self._byte()
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7
            if shift > 63:
                raise ValueError("an integer is too long")

    def _integer(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
