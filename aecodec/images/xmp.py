"""XMP packets: one out of a JPEG's packet and its extension, and back where a packet is too large for a segment.

Adobe's XMP specification, part 1 (serialisation in RDF) and part 3, 1.1.3 (extended XMP).
"""

from __future__ import annotations

import re
from xml.parsers import expat

from aecodec.images import jpeg

_NOTE = re.compile(
    rb"""\s+[\w.-]+:HasExtendedXMP\s*=\s*("[^"]*"|'[^']*')|<([\w.-]+:HasExtendedXMP)\b[^>]*>[^<]*</\2\s*>""", re.ASCII
)
_RDF = re.compile(rb"<([\w.-]+):RDF\b[^>]*>", re.ASCII)
_OUTER = re.compile(rb"<[\w.-]+:xmpmeta\b[^>]*>", re.ASCII)
_NAMESPACE = re.compile(rb"""xmlns:([\w.-]+)\s*=\s*["']([^"']*)["']""", re.ASCII)
_NOTE_OF = b'<%s:Description %s:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="%s"/>'


def without_note(packet: bytes) -> bytes:
    """Return a packet that no longer says that there is extended XMP."""
    return _NOTE.sub(b"", packet)


def merge(packet: bytes, extended: bytes) -> bytes | None:
    """Return one packet with what two say, None where they cannot be put together."""
    packet = without_note(packet)
    mine, other = _RDF.search(packet), _RDF.search(extended)
    if mine is None or other is None:
        return None
    declared, added = _declared(packet, mine), _declared(extended, other)
    if any(declared.get(prefix, name) != name for prefix, name in added.items()):
        return None
    end = extended.rfind(b"</" + other[1] + b":RDF")
    place = packet.rfind(b"</" + mine[1] + b":RDF")
    if end < other.end() or place < mine.end():
        return None
    names = b"".join(b' xmlns:%s="%s"' % item for item in added.items() if item[0] not in declared)
    head = packet[: mine.end() - 1] + names + packet[mine.end() - 1 : place]
    merged = head + extended[other.end() : end] + packet[place:]
    return merged if _children(merged) is not None else None


def split(packet: bytes, limit: int) -> tuple[bytes, bytes] | None:
    """Return a packet of at most ``limit`` bytes and extended XMP with the rest, None where it cannot be cut."""
    starts = _children(packet)
    rdf, outer = _RDF.search(packet), _OUTER.search(packet)
    if not starts or rdf is None or outer is None:
        return None
    closing = b"</" + rdf[1] + b":RDF></" + outer[0][1:].split(b":")[0] + b":xmpmeta>"
    head = packet[outer.start() : starts[0]]
    room = limit - len(head) - len(closing) - len(_NOTE_OF) - 100
    cut = max(start for start in starts[:-1] if start == starts[0] or start - starts[0] <= room)
    extended = head + packet[cut : starts[-1]] + closing
    note = _NOTE_OF % (rdf[1], rdf[1], jpeg.identity_of(extended).encode())
    first = head + packet[starts[0] : cut] + note + closing
    return (first, extended) if len(first) <= limit else None


def _declared(packet: bytes, rdf: re.Match[bytes]) -> dict[bytes, bytes]:
    """Return the namespaces that a packet declares around its descriptions, by prefix."""
    outer = _OUTER.search(packet)
    found = {match[1]: match[2] for match in _NAMESPACE.finditer(outer[0])} if outer else {}
    return found | {match[1]: match[2] for match in _NAMESPACE.finditer(rdf[0])}


def _children(packet: bytes) -> list[int] | None:
    """Return where the descriptions in a packet begin, and where the last one ends.

    None stands for what is no XML, or has a document type.
    """
    parser = expat.ParserCreate()
    depth, inside, starts = 0, 0, []

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal depth, inside
        depth += 1
        if inside and depth == inside + 1:
            starts.append(parser.CurrentByteIndex)
        if name.endswith(":RDF") and not inside:
            inside = depth

    def end(name: str) -> None:
        nonlocal depth, inside
        if inside and depth == inside:
            starts.append(parser.CurrentByteIndex)
            inside = -1
        depth -= 1

    def refuse(*_: object) -> None:
        raise ValueError("a document type")

    parser.StartElementHandler, parser.EndElementHandler, parser.StartDoctypeDeclHandler = start, end, refuse
    try:
        parser.Parse(packet.rstrip(b"\0 \r\n\t"), True)
    except (expat.ExpatError, ValueError):
        return None
    return starts
