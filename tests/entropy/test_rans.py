"""The entropy coder: every test that codes runs on both implementations, and they must agree on bytes and errors."""

import contextlib
import importlib
import math
import os
import struct

import numpy as np
import pytest

from aecodec.entropy import _rans_python, rans
from aecodec.entropy.rans import Decoder, RansError, Tables, encode
from aecodec.entropy.trellis import multiples

PURE_PYTHON = bool(os.environ.get("AECODEC_PURE_PYTHON"))
LOWER = 2**31
ESCAPE_REACH = 2**20  # an escaped value lies at most this far beyond the radius


def gaussian_cdf(scale: float, radius: int) -> np.ndarray:
    """Frequencies of at least 1 in the shape of a Gaussian, the escape's being exactly 1."""
    edges = [math.erf((i - 0.5) / scale / math.sqrt(2)) for i in range(-radius, radius + 2)]
    mass = np.diff(edges)
    frequencies = 1 + np.floor(mass / mass.sum() * (65536 - 2 * radius - 2)).astype(np.int64)
    frequencies[radius] += 65535 - frequencies.sum()
    return np.concatenate([[0], np.cumsum(frequencies), [65536]])


SCALES = [0.2, 0.7, 2.5, 9.0, 40.0]
TABLES = Tables.from_cdfs([gaussian_cdf(scale, math.ceil(3 * scale)) for scale in SCALES])
EXTREME = Tables.from_cdfs([[0, 1, 65536], [0, 65535, 65536], [0, 1, 2, 65535, 65536], np.arange(65537)])
TINY = Tables.from_cdfs([[0, 16384, 49152, 61440, 65536]])


def random_message(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Symbols a little wider than their tables, so that some escape, and one in a hundred far away."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(len(SCALES), size=count, dtype=np.uint8)
    symbols = np.rint(rng.normal(size=count) * np.array(SCALES)[levels] * 1.2)
    far = rng.random(count) < 0.01
    symbols[far] = rng.integers(-ESCAPE_REACH, ESCAPE_REACH, size=far.sum())
    return symbols.astype(np.int32), levels


def zeros(count: int) -> np.ndarray:
    return np.zeros(count, np.uint8)


def decode_all(stream: bytes, levels: np.ndarray, tables: Tables) -> np.ndarray:
    decoder = Decoder(stream, tables)
    symbols = decoder.decode(levels)
    decoder.finish()
    return symbols


def stream_of(operations: list[tuple[int, int]]) -> bytes:
    """The stream of (frequency, start) operations, written from the description alone."""
    states, words = [LOWER, LOWER], []
    for i in reversed(range(len(operations))):
        frequency, start = operations[i]
        x = states[i % 2]
        if x >= 2**47 * frequency:
            words.insert(0, x % 2**32)
            x //= 2**32
        states[i % 2] = 65536 * (x // frequency) + x % frequency + start
    return struct.pack(f"<2Q{len(words)}I", *states, *words)


@pytest.fixture
def extension():
    """A missing extension fails the tests, for a skipped leg would hide a broken build."""
    if PURE_PYTHON:
        return pytest.importorskip("aecodec.entropy._rans")
    return importlib.import_module("aecodec.entropy._rans")


@pytest.fixture(params=["c", "python"])
def coder(request, monkeypatch):
    """Puts one implementation behind the public interface."""
    module = _rans_python if request.param == "python" else request.getfixturevalue("extension")
    monkeypatch.setattr(rans, "_coder", module)


@pytest.mark.skipif(PURE_PYTHON, reason="AECODEC_PURE_PYTHON allows its absence")
def test_the_extension_is_built():
    """Without it everything still works, a hundred times slower, and nobody would notice why."""
    assert rans.IMPLEMENTATION == "c"


def test_known_answer(coder):
    """Files written today could not be read tomorrow."""
    symbols = np.array([0, 1, -1, 0, 2, -3, 0, 1000, -ESCAPE_REACH - 1, 1, 1, 0], np.int32)
    stream = encode(symbols, zeros(12), TINY)
    assert stream.hex() == "df7d7e55550000007fde211cc70100000080ffff00f039ff"
    assert decode_all(stream, zeros(12), TINY).tolist() == symbols.tolist()


def test_the_description_suffices(coder):
    """A decoder written from the documentation would not read our files."""
    escape, one = (4096, 61440), (12288, 49152)
    digits = [(4096, 4096 * nibble) for nibble in (12, 12, 15, 1)]  # 4, 4, 7, 1: e = 996, value = 500
    symbols = np.array([1, 500, 1], np.int32)
    assert encode(symbols, zeros(3), TINY) == stream_of([one, escape, *digits, one])


@pytest.mark.parametrize("count", [1, 2, 3, 50, 5000])
def test_round_trip(coder, count):
    """Pictures would decode to something else."""
    symbols, levels = random_message(count, count)
    stream = encode(symbols, levels, TABLES)
    assert stream == _rans_python.encode(symbols, levels, TABLES.radius, TABLES.cdf, TABLES.start)
    np.testing.assert_array_equal(decode_all(stream, levels, TABLES), symbols)


@pytest.mark.parametrize("count", [1, 2, 50, 5000])
def test_round_trip_of_dependent_symbols(coder, count):
    """The decoder must find the quantiser of each symbol, and so its table, in the symbols before."""
    rng = np.random.default_rng(count)
    symbols = rng.integers(-12, 13, count).astype(np.int32)  # the tables' radii are 1, 3, 8: many escapes
    state, quantisers = 0, []
    for k in symbols.tolist():
        quantisers.append(state & 1)
        state = state >> 1 ^ (232 if state & 1 else 0) ^ (120 if k & 1 else 0)
    rows = (1 + np.array(quantisers)).astype(np.uint8)
    decoder = Decoder(encode(symbols, rows, TABLES), TABLES)
    np.testing.assert_array_equal(decoder.decode(zeros(count), 1), multiples(symbols, np.array(quantisers)))
    decoder.finish()


def test_round_trip_at_the_extremes_of_probability(coder):
    """Frequencies of 1 and 65535 and the largest table are where states overflow and searches run off."""
    rng = np.random.default_rng(1)
    levels = rng.integers(4, size=2000, dtype=np.uint8)
    symbols = (rng.integers(-1, 2, size=2000) + (levels == 3) * rng.integers(-32766, 32767, size=2000)).astype(np.int32)
    np.testing.assert_array_equal(decode_all(encode(symbols, levels, EXTREME), levels, EXTREME), symbols)


def test_decoding_in_pieces(coder):
    """The context model decodes a quarter of the latents at a time; pieces of odd length swap the states' turns."""
    symbols, levels = random_message(2, 1000)
    decoder = Decoder(encode(symbols, levels, TABLES), TABLES)
    pieces = [decoder.decode(piece) for piece in np.split(levels, [0, 1, 4, 4, 321, 998])]
    decoder.finish()
    np.testing.assert_array_equal(np.concatenate(pieces), symbols)


def test_strided_input(coder):
    """Channels and phases are sliced out of larger arrays."""
    symbols, levels = random_message(3, 1000)
    assert encode(symbols[::2], levels[::2], TABLES) == encode(symbols[::2].copy(), levels[::2].copy(), TABLES)
    stream = encode(symbols[::2], levels[::2], TABLES)
    np.testing.assert_array_equal(decode_all(stream, levels[::2], TABLES), symbols[::2])


def test_length_is_the_entropy(coder):
    """Files would be larger than the model says."""
    rng = np.random.default_rng(4)
    table = gaussian_cdf(2.5, 8)
    frequencies = np.diff(table)
    values = rng.choice(frequencies.size - 1, size=20000, p=frequencies[:-1] / frequencies[:-1].sum())
    stream = encode((values - 8).astype(np.int32), zeros(20000), Tables.from_cdfs([table]))
    ideal = -np.log2(frequencies[values] / 65536).sum() / 8
    assert ideal <= len(stream) <= ideal * 1.0001 + 16


def test_nothing_costs_nothing(coder):
    """A picture whose latents are all skipped would pay for them."""
    assert encode(np.zeros(0, np.int32), zeros(0), TINY) == b""
    assert decode_all(b"", zeros(0), TINY).size == 0
    with pytest.raises(RansError, match="truncated"):
        Decoder(b"", TINY).decode(zeros(1))


@pytest.mark.parametrize("distance", [1, 2, 4, 5, 36, 2**11, 2**17, 2**17 + 1, ESCAPE_REACH])
@pytest.mark.parametrize("sign", [1, -1])
def test_escapes(coder, distance, sign):
    """A rare strong edge would be clipped, or the picture refused."""
    symbols = np.array([0, sign * (1 + distance), sign], np.int32)
    assert decode_all(encode(symbols, zeros(3), TINY), zeros(3), TINY).tolist() == symbols.tolist()


@pytest.mark.parametrize("value", [ESCAPE_REACH + 2, -ESCAPE_REACH - 2, 2**31 - 1, -(2**31)])
def test_values_that_no_escape_holds(coder, value):
    """A wrong value would be written without a word."""
    with pytest.raises(ValueError, match="too large for an escape"):
        encode(np.array([0, value], np.int32), zeros(2), TINY)


def test_escape_that_never_ends(coder):
    """A crafted file would overflow the value."""
    more = (4096, 4096 * 15)
    last = (4096, 4096 * 7)
    longest = stream_of([(4096, 61440), *[more] * 6, last])
    assert decode_all(longest, zeros(1), TINY).tolist() == [-ESCAPE_REACH - 1]
    with pytest.raises(RansError, match="escape is too long"):
        Decoder(stream_of([(4096, 61440), *[more] * 7, last]), TINY).decode(zeros(1))


def test_truncation_at_every_length(coder):
    """A download that broke off would show as a picture."""
    symbols, levels = random_message(5, 60)
    stream = encode(symbols, levels, TABLES)
    for length in range(len(stream)):
        with pytest.raises(RansError, match="truncated"):
            decode_all(stream[:length], levels, TABLES)


@pytest.mark.parametrize("tail", [b"\0", b"\0\0\0\0"])
def test_bytes_after_the_end(coder, tail):
    """Damage to a length in the file would go unseen."""
    with pytest.raises(RansError):
        decode_all(encode(np.ones(9, np.int32), zeros(9), TINY) + tail, zeros(9), TINY)


def test_fewer_symbols_than_written(coder):
    """A decoder that lost count would go on with the wrong symbols."""
    decoder = Decoder(encode(np.ones(9, np.int32), zeros(9), TINY), TINY)
    decoder.decode(zeros(8))
    with pytest.raises(RansError, match="does not end"):
        decoder.finish()


def test_every_damaged_byte(coder):
    """A crafted file would crash the process, or mean different things on two machines.

    Not each of these is an error: bytes that turn a symbol into another of the same frequency are a message, too.
    """

    def outcome(stream):
        try:
            return decode_all(stream, levels, TABLES).tolist()
        except RansError as error:
            return str(error)

    symbols, levels = random_message(6, 40)
    stream = encode(symbols, levels, TABLES)
    for position in range(len(stream)):
        for flip in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            damaged = bytearray(stream)
            damaged[position] ^= flip
            found = outcome(bytes(damaged))
            assert found != symbols.tolist()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(rans, "_coder", _rans_python)
                assert outcome(bytes(damaged)) == found


@pytest.mark.parametrize("states", [(LOWER - 1, LOWER), (LOWER, 0), (2**63, LOWER), (LOWER, 2**64 - 1)])
def test_states_out_of_range(states):
    """The two implementations would overflow differently."""
    with pytest.raises(RansError, match="out of range"):
        Decoder(struct.pack("<QQ", *states), TINY)


def test_an_error_leaves_the_decoder_as_it_was(coder):
    """After an error the two implementations would go on from different places."""
    symbols, levels = random_message(7, 100)
    decoder = Decoder(encode(symbols, levels, TABLES), TABLES)
    with pytest.raises(RansError, match="truncated"):
        decoder.decode(np.tile(levels, 2))
    np.testing.assert_array_equal(decoder.decode(levels), symbols)
    decoder.finish()


def test_level_without_a_table(coder):
    """It would read another table's memory."""
    with pytest.raises(ValueError, match="no table for level 1"):
        encode(np.zeros(2, np.int32), np.array([0, 1], np.uint8), TINY)
    with pytest.raises(ValueError, match="no table for level 255"):
        Decoder(b"", TINY).decode(np.array([255], np.uint8))
    with pytest.raises(ValueError, match="no table"):
        Decoder(b"", TABLES).decode(zeros(1), 3)


def test_arrays_of_another_kind(coder):
    """Casting would turn level 256 into 0 and 1.7 into 1."""
    with pytest.raises(TypeError, match="levels"):
        encode(np.zeros(1, np.int32), np.array([256]), TINY)
    with pytest.raises(TypeError, match="symbols"):
        encode(np.array([1.7]), zeros(1), TINY)
    with pytest.raises(TypeError, match="levels"):
        Decoder(b"", TINY).decode(np.zeros((1, 1), np.uint8))
    with pytest.raises(ValueError, match="3 symbols with 2 levels"):
        encode(np.zeros(3, np.int32), zeros(2), TINY)


@pytest.mark.parametrize(
    "cdf",
    [
        [0, 65536],
        [0, 1, 2, 65536],
        [1, 2, 65536],
        [0, 2, 65535],
        [0, 0, 65536],
        [0, 9, 8, 9, 65536],
        [0.0, 1.0, 65536.0],
        [[0, 1, 65536]],
        [0, 65536, 65536],
        np.array([0, 2**63 + 5, 65536], np.uint64),
    ],
    ids=str,
)
def test_cdfs_that_are_none(cdf):
    """The coder would divide by zero, or write what it cannot read."""
    with pytest.raises(ValueError, match="cdf of level 1"):
        Tables.from_cdfs([[0, 1, 65536], cdf])


@pytest.mark.parametrize("count", [0, 257])
def test_number_of_tables(count):
    """A level is a byte: table 256 could never be used."""
    with pytest.raises(ValueError, match="1 to 256 tables"):
        Tables.from_cdfs([[0, 1, 65536]] * count)


def test_tables_describe_the_cdfs():
    """The lookup would start the search behind the symbol."""
    assert TABLES.radius.tolist() == [math.ceil(3 * scale) for scale in SCALES]
    assert TABLES.cdf.size == (2 * TABLES.radius + 3).sum()
    for level in range(len(SCALES)):
        cdf = TABLES.cdf[TABLES.start[level] :][: 2 * TABLES.radius[level] + 3]
        slots = np.arange(256) * 256
        assert np.all(cdf[TABLES.lookup[level]] <= slots)
        assert np.all(slots < cdf[TABLES.lookup[level] + 1])


@pytest.mark.parametrize("shorten", range(8))
def test_extension_refuses_arrays_that_do_not_fit(extension, shorten):
    """A slip in our own Python would corrupt memory instead of raising."""
    symbols, levels = random_message(8, 20)
    stream = encode(symbols, levels, TABLES)
    arrays = [levels, symbols, TABLES.radius, TABLES.cdf, TABLES.start, TABLES.lookup]
    state = (LOWER, LOWER, 0 if shorten < 6 else (-4, len(stream) + 1)[shorten - 6])
    if shorten < 6:
        arrays[shorten] = arrays[shorten][:-1].copy()
    with pytest.raises(TypeError, match="do not fit"):
        extension.decode(stream, *arrays[:2], state, *arrays[2:], 0)
    if shorten < 5:
        with pytest.raises(TypeError, match="do not fit"):
            extension.encode(arrays[1], arrays[0], *arrays[2:5])


@pytest.mark.parametrize("name", ["radius", "cdf", "start", "lookup"])
def test_extension_survives_damaged_tables(extension, name):
    """The same, with arrays of the right size and the wrong content."""
    rng = np.random.default_rng(9)
    symbols, levels = random_message(10, 500)
    stream = encode(symbols, levels, TABLES)
    for _ in range(100):
        arrays = {key: getattr(TABLES, key).copy() for key in ("radius", "cdf", "start", "lookup")}
        damaged = arrays[name].reshape(-1)
        where = rng.integers(damaged.size, size=3)
        damaged[where] = rng.choice(np.array([0, 1, 300, 65535, 2**31 - 1, -1])).astype(damaged.dtype)
        with contextlib.suppress(TypeError, ValueError):
            extension.encode(symbols, levels, *list(arrays.values())[:3])
        for stride, tried in enumerate((levels, levels % 2)):
            with contextlib.suppress(TypeError, ValueError):
                extension.decode(stream, tried, symbols.copy(), (LOWER, 2**62, 16), *arrays.values(), stride)
