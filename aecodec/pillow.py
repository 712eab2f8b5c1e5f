"""Teach .aec files to Pillow: importing this is enough for ``Image.open``, ``Image.save`` and all that builds on them.

    Image.open("photo.aec")                                  reads the header and the metadata; the first use decodes
    image.save("photo.aec", quality=70, exif=b"", ...)       with ``quality``, ``target``, ``lossless``, ``weights``,
                                                             ``device`` and ``hashed`` of aecodec.encode

``icc_profile``, ``exif`` and ``xmp`` replace what the picture brings along; empty ones drop it. What aecodec raises comes
out as OSError, as from Pillow's own formats. Pillow's limit of pixels holds, and no other. With
``PIL.ImageFile.LOAD_TRUNCATED_IMAGES`` a file that ends early shows what is there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from PIL import Image, ImageFile, UnidentifiedImageError

from aecodec import codec
from aecodec.container import bitstream, metadata
from aecodec.errors import AecodecError

if TYPE_CHECKING:
    from PIL import _imaging

FORMAT = "AEC"
_FIRST_READ = 2**16  # bytes; nearly always all that stands before the payload


class AecImageFile(ImageFile.ImageFile):
    """An .aec file.

    Its size is that of the stored samples. The EXIF orientation is left to the caller, as for JPEG.
    """

    format = FORMAT
    format_description = "aecodec"
    _loaded = False
    fp: IO[bytes] | None = None  # also of one that comes out of a pickle

    def _open(self) -> None:
        try:
            header, chunks = self._read_head()
        except AecodecError as error:
            raise UnidentifiedImageError(f"cannot identify the .aec file: {error}") from error
        self._size = header.width, header.height
        self._mode = metadata.shown(header, chunks).mode
        if bitstream.SIGNAL in chunks:
            from aecodec.images import embedded  # here, because it needs numpy, to make a profile of the colours

            self.info.update(embedded.info_of(chunks, header.mode == "L"))
        else:
            self.info.update(metadata.from_chunks(chunks))
        self.tile = []

    def _read_head(self) -> tuple[bitstream.Header, dict[bytes, bytes]]:
        """Read the head as ``bitstream.read_head`` does, without the payload, which may be large."""
        size = _FIRST_READ
        while True:
            data = self._read_start(size)
            try:
                return bitstream.read_head(data, max_pixels=None)
            except AecodecError:
                if len(data) < size:
                    raise
                size *= 8

    def load(self) -> _imaging.PixelAccess | None:
        if self.fp is not None and not self._loaded:
            from aecodec.codec import decoder  # here, because opening a picture must stay cheap

            with _os_errors():
                is_lenient = ImageFile.LOAD_TRUNCATED_IMAGES
                self.im = decoder.decode(self._read_start(), max_pixels=None, preview=is_lenient).im
            self._loaded = True
            if self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()

    def verify(self) -> None:
        """Check every checksum, and decode nothing."""
        with _os_errors():
            bitstream.read(self._read_start(), max_pixels=None)
        super().verify()

    def _read_start(self, size: int = -1) -> bytes:
        """Return the first bytes of the file; all where no ``size`` is given."""
        if self.fp is None:
            raise OSError("the file is closed")
        self.fp.seek(0)
        data: bytes = self.fp.read(size)
        return data


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except AecodecError as error:
        raise OSError(str(error)) from error


def _save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    settings = ("quality", "target", "lossless", "weights", "device", "hashed")
    options = {name: value for name, value in image.encoderinfo.items() if name in settings}
    given = {
        name: value for name, value in image.encoderinfo.items() if name in ("icc_profile", "exif", "xmp", "dpi", "cicp")
    }
    still = image.copy()  # of the current frame, which is what Pillow saves
    still.info["exif"] = metadata.exif_of(image)  # also what is not in info, as a TIFF's
    if image.format in ("JPEG", "MPO", "PNG", "TIFF"):  # whose files say more than info does
        still.format = image.format
    for name in ("applist", "tag_v2", "text"):  # segments; tags, which alone distinguish 12 bits of gray from 16; comments
        if hasattr(image, name):
            vars(still)[name] = getattr(image, name)  # which the base class does not have
    still.info |= given
    if isinstance(xmp := still.info.get("xmp"), str):
        still.info["xmp"] = xmp.encode()
    if isinstance(still.info.get("exif"), Image.Exif):
        still.info["exif"] = still.info["exif"].tobytes()
    with _os_errors():
        fp.write(codec.encode(still, **options))


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(bitstream.MAGIC)


Image.register_open(FORMAT, AecImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".aec")
Image.register_mime(FORMAT, "image/x-aec")
