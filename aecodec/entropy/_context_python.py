"""Run the model of ``libaec/src/context_model.h`` in Python, for machines without the extension: same bytes, slower.

Numbers are unsigned and of 32 bits where they are masked, else as large as they become. docs/format.md, section 5.6, has
the steps in words.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy._rans_python import LOWER, PRECISION, SLOT_MASK

BLOCK = 1 << 22  # decisions of a stream of rans.py
MARGIN = 8
HISTORIES = 4
ESCAPED = 15
RANKS = 8
MATCH_LEAST, MATCH_LONG, MATCH_MISSES = 8, 32, 8
LOGIT_END, LOGIT_INPUT = 3072, 2047
KNOTS = 25
HIT_PACE, VALUE_PACE = 20, 40
WORD = (1 << 32) - 1
SHIFTS = (24, 8, 16, 0)  # alpha, green, red, blue
ACTIVE = (1, 4, 9, 17, 29, 59, 109)  # bounds of how much neighbours differ
MATCHES = (0, 3, 7, 15, 31, 127)  # of how long a match is
# multipliers of the pixels that the colours of a history followed: by row above, column to the right
NEAR = {(0, -1): 0x9E3779B1, (1, 0): 0x85EBCA6B, (1, 1): 0xC2B2AE35}
NEARER = NEAR | {(1, -1): 0x27D4EB2F, (0, -2): 0x165667B1, (2, 0): 0xD3A2646C}
WIDE = NEARER | {
    (0, -3): 0xFD7046C5,
    (1, -2): 0xB55A4F09,
    (1, 2): 0x7FEB352D,
    (2, 1): 0x846CA68B,
    (2, -1): 0x2C1B3C6D,
    (2, 2): 0x297A2D39,
}
WIDEST = WIDE | {(0, -4): 0x68E31DA5, (0, -5): 0xB5297A4D, (1, 3): 0x1B56C4F5, (0, -6): 0x3C6EF373}
# 65536 / (1 + exp(-x)) for x = 0, 0.5 .. 12
LOGISTIC = (
    *(32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374),
    *(65438, 65476, 65500, 65514, 65523, 65528, 65531, 65533, 65534, 65535, 65535, 65535),
)


class Writer:
    """Collect decisions and code them, at most ``most`` of them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.operations: list[tuple[int, int]] = []
        self.out: list[bytes] = []

    def code(self, probability: int, bit: int) -> int:
        if not self.most:
            raise OverflowError
        self.most -= 1
        if len(self.operations) == BLOCK:
            self.end_block()
        self.operations.append((probability, 0) if bit else (65536 - probability, probability))
        return bit

    def end_block(self) -> None:
        x = y = LOWER
        words = []
        for frequency, start in reversed(self.operations):
            x, y = y, x
            if x >= frequency << 47:
                words.append(x & WORD)
                x >>= 32
            x = (x // frequency << PRECISION) + x % frequency + start
        self.out.append(struct.pack(f"<2Q{len(words)}I", x, y, *reversed(words)))
        self.operations = []


class Reader:
    """Read decisions. Raises ValueError where the stream ends before them or is damaged."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position, self.count = data, 0, 0
        self.x = self.y = LOWER

    def take(self, layout: str) -> tuple[int, ...]:
        if self.position + struct.calcsize(layout) > len(self.data):
            raise ValueError("stream is damaged")
        values = struct.unpack_from(layout, self.data, self.position)
        self.position += struct.calcsize(layout)
        return values

    def code(self, probability: int, bit: int) -> int:
        if self.count == 0:
            if (self.x, self.y) != (LOWER, LOWER):
                raise ValueError("stream is damaged")
            self.x, self.y = self.take("<2Q")
            if not (LOWER <= self.x < LOWER << 32 and LOWER <= self.y < LOWER << 32):
                raise ValueError("stream is damaged")
        self.count = (self.count + 1) % BLOCK
        slot = self.x & SLOT_MASK
        bit = int(slot < probability)
        frequency, start = (probability, 0) if bit else (65536 - probability, probability)
        x = frequency * (self.x >> PRECISION) + slot - start
        if x < LOWER:
            x = x << 32 | self.take("<I")[0]
        self.x, self.y = self.y, x
        return bit

    def check_end(self) -> None:
        if (self.x, self.y, self.position) != (LOWER, LOWER, len(self.data)):
            raise ValueError("stream is damaged")


def mixed_hash(a: int, b: int) -> int:
    x = (a * 0x2C1B3C6D + b + 0x3C6EF372) & WORD
    x = (x ^ x >> 15) * 0x297A2D39 & WORD
    return x ^ x >> 13


def _probabilities() -> list[int]:
    """Return the probability of each logit, plus LOGIT_END."""
    result = [1] * (2 * LOGIT_END)
    for d in range(LOGIT_END):
        knot, part = divmod(d, 128)
        p = LOGISTIC[knot] * (128 - part) + LOGISTIC[knot + 1] * part + 64 >> 7
        result[LOGIT_END + d] = p
        if d:
            result[LOGIT_END - d] = 65536 - p
    return result


def _logits() -> list[int]:
    """Return the logit of each share: the least one whose probability, in 12 bits, is not below it."""
    result: list[int] = []
    for d in range(-LOGIT_INPUT, LOGIT_INPUT + 1):
        result += [d] * (1 + (PROBABILITY[LOGIT_END + d] >> 4) - len(result))
    return result + [LOGIT_INPUT] * (4096 - len(result))


PROBABILITY = _probabilities()
LOGIT = _logits()
PACE = [min(32767, 655360 // (10 * seen + 16)) for seen in range(16)]


@dataclass
class Context:
    """What a context remembers: the share of 1, in 1/4096, and of how many decisions, up to 15."""

    share: int = 2048
    seen: int = 0

    def learn(self, bit: int) -> None:
        self.share += ((4095 if bit else 0) - self.share) * PACE[self.seen] + 32768 >> 16
        self.seen = min(self.seen + 1, 15)


@dataclass
class Group:
    """The contexts of four bits of a channel, by a 1 and the bits before; and whose they are."""

    name: int = 0
    contexts: list[Context] = field(default_factory=lambda: [Context() for _ in range(16)])


@dataclass
class Followed:
    """The colour that followed some neighbours, how many times, and some bits of their hash."""

    colour: int = 0
    times: int = 0
    check: int = 0


def _even(inputs: int, total: int) -> list[int]:
    return [total // (inputs - 1)] * (inputs - 1) + [0]


def _curve() -> list[int]:
    return [PROBABILITY[min(256 * knot, 2 * LOGIT_END - 1)] for knot in range(KNOTS)]


def _limited(logit: int) -> int:
    return max(1 - LOGIT_END, min(LOGIT_END - 1, logit))


def _signed(value: int) -> int:
    """Return a number as 32 bits with a sign hold it."""
    return (value + (1 << 31) & WORD) - (1 << 31)


def _median_edge(left: int, above: int, corner: int) -> int:
    return sorted((left, above, left + above - corner))[1]


def _clipped(value: int) -> int:
    return max(0, min(255, value))


def _quotient(value: int, by: int) -> int:
    """Return a quotient rounded towards 0, as C does."""
    return abs(value) // by * (1 if value >= 0 else -1)


def _class(context: Context) -> int:
    return sum(context.seen > bound for bound in (0, 2, 7))


class Model:
    """The model of a band; ``coder`` reads or writes, pixels and mask are lists of rows with margins."""

    def __init__(self, width: int, height: int, has_alpha: bool, coder: Writer | Reader) -> None:
        self.width, self.height, self.has_alpha, self.coder = width, height, has_alpha, coder
        size = (width * height - 1).bit_length()
        self.hit_bits = max(8, min(22, size + 1))
        self.group_bits = max(8, min(20, size))
        self.followed_bits = max(6, min(18, size - 2))
        self.match_bits = max(6, min(18, size))
        self.stride = width + 2 * MARGIN
        area = self.stride * (height + 2)
        self.pixels, self.ranks, self.inside = [0] * area, [0] * area, [0] * area
        self.hits: defaultdict[int, Context] = defaultdict(Context)
        self.groups: defaultdict[int, Group] = defaultdict(Group)
        self.followed: defaultdict[tuple[int, int], Followed] = defaultdict(Followed)
        self.matches: dict[int, int] = {}
        self.distance = self.length = self.misses = 0
        self.weights: dict[tuple[object, ...], list[int]] = {}
        self.curves: defaultdict[tuple[object, ...], list[int]] = defaultdict(_curve)
        self.mask_contexts: defaultdict[tuple[object, ...], Context] = defaultdict(Context)

    def decide(
        self,
        contexts: Sequence[Context],
        sets: tuple[tuple[object, ...], tuple[object, ...]],
        bends: tuple[tuple[object, ...], tuple[object, ...]],
        total: int,
        pace: int,
        bit: int,
    ) -> int:
        """Code a decision: its contexts, names of two sets of weights and of two curves, and how all of it learns."""
        inputs = [*(LOGIT[context.share] for context in contexts), 256]
        weights = [self.weights.setdefault(name, _even(len(inputs), total)) for name in sets]
        logits = [_limited(sum(w * i for w, i in zip(each, inputs, strict=True)) >> 16) for each in weights]
        mean = sum(logits) >> 1
        knot, part = divmod(mean + LOGIT_END, 256)
        curves = [self.curves[name] for name in bends]
        bent = [curve[knot] * (256 - part) + curve[knot + 1] * part >> 8 for curve in curves]
        probability = 2 * PROBABILITY[mean + LOGIT_END] + 3 * bent[0] + 3 * bent[1] >> 3
        bit = self.coder.code(max(probability, 1), bit)
        errors = [bit * 65536 - PROBABILITY[logit + LOGIT_END] for logit in logits]
        for each, error in zip(weights, errors, strict=True):  # one set after the other, which may be the same
            step = error * pace >> 4
            each[:] = [_signed(w + (i * step + 32768 >> 16)) for w, i in zip(each, inputs, strict=True)]
        knot += part > 128
        for curve in curves:
            curve[knot] += (65535 if bit else 0) - curve[knot] >> 5
        for context in contexts:
            context.learn(bit)
        return bit

    def hit_context(self, first: int, second: int) -> Context:
        return self.hits[mixed_hash(first, second) * 0x9E3779B1 % 2**32 >> 32 - self.hit_bits]

    def group(self, value: int) -> Group:
        value = value * 0x9E3779B1 & WORD
        place, name = value >> 32 - self.group_bits, value & 0xFFFF | 1
        group, other = self.groups[place], self.groups[place ^ 1]
        if group.name == name:
            return group
        if other.name == name:
            return other
        if other.contexts[1].seen < group.contexts[1].seen:
            group, other = other, group
        other.contexts[1].seen = max(0, other.contexts[1].seen - 1)
        group.name = name
        for context in group.contexts:  # in place, for it may be another context's of the same four bits
            context.share, context.seen = 2048, 0
        return group

    def value(self, at: int, value: int) -> int:
        """Code the channels of the pixel at a place."""
        pixels, n = self.pixels, at - self.stride
        result = known = previous = correction = error = 0
        for channel in range(0 if self.has_alpha else 1, 4):
            shift = SHIFTS[channel]
            left, far, above, corner, right = (pixels[place] >> shift & 255 for place in (at - 1, at - 2, n, n - 1, n + 1))
            median = _median_edge(left, above, corner)
            guess = _clipped(median + correction)
            mean = _clipped((left + right + 2 * above + 2) // 4 + correction)
            change = abs(left - corner) + abs(above - corner) + abs(above - right)
            active = sum(change > bound for bound in ACTIVE)
            seeds = (
                *(active << 8 | guess, known, left << 8 | previous, above << 8 | previous),
                *(guess << 8 | previous, mean, left << 8 | far),
            )
            hashes = [mixed_hash(seed, channel << 8 | index) for index, seed in enumerate(seeds)]
            groups: list[Group] = []
            node = 1
            for bit in range(7, -1, -1):
                if bit & 3 == 3:
                    groups = [self.group(each + (node * 0x5851F42D if bit == 3 else 0)) for each in hashes]
                within = node if bit > 3 else node & (8 >> bit) - 1 | 8 >> bit
                contexts = [group.contexts[within] for group in groups]
                seen = _class(contexts[1])
                node = node << 1 | self.decide(
                    contexts,
                    (("value", channel, bit), ("seen", _class(contexts[4]), seen, channel)),
                    (("value", channel, bit, seen), ("active", channel, bit, active)),
                    150000,
                    VALUE_PACE,
                    value >> shift + bit & 1,
                )
            previous = node & 255
            result |= previous << shift
            known = known * 256 + previous + 1 & WORD
            if channel == 0 and not previous:
                return 0
            if channel == 1:
                correction = error = previous - median
            elif channel == 2:
                correction = _quotient(error + previous - median, 2)
        return result if self.has_alpha else result | 255 << 24

    def look_up(self, at: int) -> list[Followed]:
        result = []
        for index, neighbours in enumerate((WIDEST, WIDE, NEARER, NEAR)):
            total = sum(self.pixels[at - row * self.stride + column] * by for (row, column), by in neighbours.items())
            value = mixed_hash(total & WORD, HISTORIES - index)
            place = index, value >> 32 - self.followed_bits
            if self.followed[place].check != value & 255:
                self.followed[place] = Followed(check=value & 255)
            result.append(self.followed[place])
        return result

    def match(self, at: int) -> tuple[int, int]:
        """Return the colour that a match predicts, and how long it is, 1 .. 7; two times 0 where there is none."""
        pixels, value = self.pixels, 0
        for back in range(MATCH_LEAST, 0, -1):
            value = (value + pixels[at - back]) * 0x2C1B3C6D & WORD
        place = mixed_hash(value, 77) >> 32 - self.match_bits
        before = self.matches.get(place, 0)
        self.matches[place] = at
        if self.misses == MATCH_MISSES:
            self.distance = 0
        if before and self.length < MATCH_LONG:
            length = 0
            while length < MATCH_LONG and pixels[before - 1 - length] == pixels[at - 1 - length]:
                length += 1
            if length >= MATCH_LEAST and length > self.length:
                self.distance, self.length, self.misses = at - before, length, 0
        if not self.distance:
            return 0, 0
        return pixels[at - self.distance], 1 + sum(self.length > bound for bound in MATCHES)

    def rank(
        self, at: int, history: int, followed: list[Followed], matched: int, match: int, candidates: list[int], value: int
    ) -> tuple[int, int]:
        """Code which of the candidates the pixel at a place is. Returns its rank, or ESCAPED, and its value."""
        pixels, ranks, stride = self.pixels, self.ranks, self.stride
        left, far, above, corner, right, top = (
            pixels[place] for place in (at - 1, at - 2, at - stride, at - stride - 1, at - stride + 1, at - 2 * stride)
        )
        pairs = (
            *((left, above), (above, right), (left, corner), (above, corner), (left, far), (above, top)),
            *((right, pixels[at - stride + 2]), (right, pixels[at - 2 * stride + 1])),
        )
        equal = sum((a == b) << index for index, (a, b) in enumerate(pairs))
        around = (
            ranks[at - stride] | ranks[at - stride + 1] << 4 | ranks[at - stride - 1] << 8 | ranks[at - stride + 2] << 12
        )
        past = mixed_hash(history & 0xFFFFF, around)
        for rank, colour in enumerate(candidates):
            k = min(rank, RANKS - 1)
            agree = 0
            for each in followed:
                times = each.times if each.colour == colour else 0
                agree = agree << 2 | (times > 0) + (times > 1) + (times > 3)
            beside = sum((p == colour) << index for index, p in enumerate((left, above, right, corner, far, top)))
            matching = match if matched == colour else 0
            contexts = [
                self.hit_context(matching << 16 | agree << 6 | beside, k + 1000),
                self.hit_context(equal << 6 | beside, k + 2000),
                self.hit_context(mixed_hash(colour, above), mixed_hash(left, 16)),
                self.hit_context(mixed_hash(colour, matched), mixed_hash(match, 18)),
                self.hit_context(past, k + 8000),
            ]
            first, second = ("hit", agree, k), ("match", matching, match, k)
            if self.decide(contexts, (first, second), (first, second), 160000, HIT_PACE, int(colour == value)):
                return rank, colour
        return ESCAPED, value

    def pixel(self, at: int, history: int, value: int) -> tuple[int, int]:
        """Code the pixel at a place. Returns its rank and its value."""
        pixels, ranks, n = self.pixels, self.ranks, at - self.stride
        followed = self.look_up(at)
        matched, match = self.match(at)
        sources = (
            *((matched, match > 4), *((each.colour, each.times) for each in followed[:3]), (matched, match)),
            *((followed[3].colour, followed[3].times > 1), (pixels[at - 1], 1), (pixels[n], 1), (pixels[n + 1], 1)),
            *(
                (pixels[n - 1], 1),
                (followed[3].colour, followed[3].times),
                (pixels[at - 2], 1),
                (pixels[n - self.stride], 1),
            ),
        )
        candidates = list(dict.fromkeys(colour for colour, is_there in sources if is_there))
        is_asked = (
            any(ranks[place] != ESCAPED for place in (at - 1, n, n + 1, n - 1))
            or match > 2
            or any(each.times for each in followed[:3])
        )
        rank = ESCAPED
        if is_asked:
            rank, value = self.rank(at, history, followed, matched, match, candidates, value)
        if rank == ESCAPED:
            value = self.value(at, value)
            if not is_asked and value in candidates:
                rank = candidates.index(value)
        for each in followed:
            if each.times and each.colour == value:
                each.times = min(each.times + 1, 255)
            elif each.times > 1:
                each.times >>= 1
            else:
                each.colour, each.times = value, 1
        if match and matched == value:
            self.length = min(self.length + 1, 65535)
            if self.length > 15:
                self.misses = 0
        elif match:
            self.length = 0
            self.misses += 1
        return rank, value

    def start(self, row: int) -> int:
        """Return the place of a row's first pixel."""
        return (row + 2) * self.stride + MARGIN

    def code_mask(self) -> None:
        inside = self.inside
        for y in range(self.height):
            for x in range(self.width):
                at = self.start(y) + x
                n, m = at - self.stride, at - 2 * self.stride
                places = (at - 1, n, n - 1, n + 1, at - 2, n + 2, n - 2, m, m - 1, m + 1)
                wide = sum(inside[place] << index for index, place in enumerate(places))
                near = wide & 15
                contexts = [self.mask_contexts["wide", wide], self.mask_contexts["place", y & 15, x & 15, near]]
                name = ("mask", near & 3)
                inside[at] = self.decide(contexts, (name, name), (name, name), 100000, HIT_PACE, inside[at])

    def code_pixels(self, has_mask: bool) -> None:
        pixels, width = self.pixels, self.width
        for y in range(self.height):
            row = self.start(y)
            above, history = row - self.stride, 0
            for margin in range(1, MARGIN + 1):
                pixels[row - margin] = pixels[above]
                pixels[above + width - 1 + margin] = pixels[above + width - 1]
            for at in range(row, row + width):
                if has_mask and not self.inside[at]:
                    pixels[at] = pixels[at - 1]
                else:
                    self.ranks[at], pixels[at] = self.pixel(at, history, pixels[at])
                    history = (history << 4 | self.ranks[at]) & WORD


def encode(
    pixels: NDArray[np.uint32], mask: NDArray[np.bool_] | None, width: int, height: int, has_alpha: bool, most: int
) -> bytes | None:
    """Return the stream of a band's pixels (H, W), None where it takes more than ``most`` decisions."""
    writer = Writer(most)
    model = Model(width, height, has_alpha, writer)
    for y in range(height):
        model.pixels[model.start(y) : model.start(y) + width] = pixels[y].tolist()
        if mask is not None:
            model.inside[model.start(y) : model.start(y) + width] = mask[y].astype(int).tolist()
    try:
        if mask is not None:
            model.code_mask()
        model.code_pixels(mask is not None)
    except OverflowError:
        return None
    writer.end_block()
    return b"".join(writer.out)


def decode(
    data: bytes,
    pixels: NDArray[np.uint32],
    mask: NDArray[np.bool_] | None,
    width: int,
    height: int,
    has_alpha: bool,
    mask_alone: bool,
) -> None:
    """Fill pixels (H, W) and, where there is one, mask (H, W) from a stream. Raises ValueError where it is damaged."""
    reader = Reader(data)
    model = Model(width, height, has_alpha, reader)
    if mask is not None:
        model.code_mask()
    if not mask_alone:
        model.code_pixels(mask is not None)
        reader.check_end()
    for y in range(height):
        pixels[y] = model.pixels[model.start(y) : model.start(y) + width]
        if mask is not None:
            mask[y] = model.inside[model.start(y) : model.start(y) + width]
