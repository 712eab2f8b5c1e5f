"""Cut a weights file to what a decoder reads, for pages and web sites."""

from __future__ import annotations

import functools
import gzip
import json
import os
import struct

from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.weights.store import is_of_encoder, read, stamp

METADATA = "__metadata__"
DECODER_OF = "decoder_of"  # in the metadata: the id of the whole file, since the digest of a part identifies nothing
WRITER_ONLY = ("gain.log",)  # besides the tensors of the encoder


def decoder_weights(name: str | os.PathLike[str] = DEFAULT_WEIGHTS) -> bytes:
    """Return the decoder's tensors of an installed model or a folder: a safetensors file, compressed by gzip.

    Its metadata name the id of the whole file, by which aecodec.js knows it. Raises WeightsError as ``load`` does.
    """
    return _decoder_weights(os.fspath(name), stamp(name))


@functools.lru_cache(maxsize=2)
def _decoder_weights(name: str, stamp: object) -> bytes:
    stored = read(name)
    (size,) = struct.unpack_from("<Q", stored.data)
    header = json.loads(stored.data[8 : 8 + size])
    tensors = {key: value for key, value in header.items() if key != METADATA and key not in WRITER_ONLY}
    kept: dict[str, object] = {METADATA: {DECODER_OF: stored.id}}
    parts: list[bytes] = []
    at = 0
    for key, tensor in tensors.items():
        if is_of_encoder(key):
            continue
        start, end = tensor["data_offsets"]
        parts.append(stored.data[8 + size + start : 8 + size + end])
        kept[key] = {**tensor, "data_offsets": [at, at + end - start]}
        at += end - start
    head = json.dumps(kept, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return gzip.compress(struct.pack("<Q", len(head)) + head + b"".join(parts), mtime=0)
