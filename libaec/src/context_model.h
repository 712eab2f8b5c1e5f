/* The model of the lossless coder (docs/format.md, section 5.6): how likely each decision about a pixel is.

   A pixel is one of up to eleven colours that followed the same neighbours elsewhere, or stand next to it.  If it is none
   of them, its channels are coded bit by bit.  Each decision has a few contexts.  A context remembers how often its
   decisions were 1, and two sets of weights learn how far to trust each context (Mahoney 2005, "Adaptive weighing of
   context models for lossless data compression").  All arithmetic is on integers.

   Who includes this defines Coder before, with a member has_failed, and

       static int code(Coder *coder, uint32_t probability, int bit);

   which codes a decision that is 1 with this probability, in 1/65536.  A reader ignores bit and returns what it reads,
   anything where it fails; a writer returns bit.  So reading and writing are one model.  Behind it stands cheaper(), by
   which a writer may take another colour. */

#ifndef AEC_CONTEXT_MODEL_H
#define AEC_CONTEXT_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    MARGIN = 8,         /* pixels by which rows go on at both ends */
    HISTORIES = 4,      /* tables of colours that followed */
    SOURCES = 13,       /* of candidates */
    ESCAPED = 15,       /* the rank of a pixel that is none of the candidates */
    RANKS = 8,          /* which weights tell apart; the last one stands for all later ones */
    HIT_INPUTS = 6,     /* contexts of a candidate, and a constant */
    VALUE_INPUTS = 8,   /* contexts of a bit of a channel, and a constant */
    ROW_INPUTS = 2,     /* a context of whether a row is the one above again, and a constant */
    MASK_INPUTS = 3,    /* contexts of whether a pixel is coded, and a constant */
    MATCH_LEAST = 8,    /* equal pixels in front of it make a match */
    MATCH_LONG = 32,    /* from here on no other one is looked for */
    MATCH_MISSES = 8,   /* after so many it ends */
    LOGIT_END = 3072,   /* logits, in 1/256, lie within it */
    LOGIT_INPUT = 2047, /* those of contexts, also within this */
    CURVE_KNOTS = 25,
    HIT_PACE = 20,
    VALUE_PACE = 40,
    SLOTS = 16
};

/* A context's memory: in 12 bits the share of decisions that were 1, its highest bit inverted, and in 4 bits how many it
   saw.  So 0 is a context that saw none. */
typedef uint16_t Slot;

/* Those of four bits of a channel, by the bits before them: 1, 10, 11, 100 .. 1111.  The first tells whose they are. */
typedef Slot Group[SLOTS];

/* The colour that followed some neighbours, how many times, and some bits of their hash. */
typedef struct {
    uint32_t colour;
    uint8_t times, check;
} Followed;

/* A map from one probability to another: knots, 256 logits apart, and straight lines between them. */
typedef uint16_t Curve[CURVE_KNOTS];

typedef struct {
    uint32_t width, height;
    ptrdiff_t stride; /* from a row of these three to the next */
    int has_alpha;
    uint32_t *pixels; /* 0xAARRGGBB, from the first one of the band; there are two rows above and a MARGIN on both sides */
    uint8_t *ranks;   /* of the pixels among their candidates */
    uint8_t *inside;  /* which pixels are coded; NULL: all */
    void *memory;     /* of these three and of the tables below */
    int hit_bits, group_bits, followed_bits, match_bits; /* of the hashes by which tables are looked up */
    Slot *hits;
    Group *groups;
    Followed *followed[HISTORIES];
    uint32_t *matches; /* places of pixels, counted from the start of their array */
    uint32_t match_distance, match_length, match_misses;
    int16_t logit[4096];                 /* of a share */
    uint16_t probability[2 * LOGIT_END]; /* of a logit, plus LOGIT_END */
    int32_t pace[SLOTS];
    int32_t hit_weights[256 * RANKS][HIT_INPUTS], match_weights[64 * RANKS][HIT_INPUTS];
    int32_t value_weights[32][VALUE_INPUTS], seen_weights[64][VALUE_INPUTS], mask_weights[4][MASK_INPUTS];
    Curve hit_curves[256 * RANKS], match_curves[64 * RANKS], value_curves[32 * 4], active_curves[32 * 8], mask_curves[4];
    Slot mask_near[1 << 10], mask_place[1 << 12];
    Slot rows[4]; /* whether a row is the one above again, by whether the two above were */
    int32_t row_weights[ROW_INPUTS];
    Curve row_curve;
} Model;

static uint32_t mixed_hash(uint32_t a, uint32_t b)
{
    uint32_t x = a * 0x2C1B3C6Du + b + 0x3C6EF372u;
    x ^= x >> 15;
    x *= 0x297A2D39u;
    return x ^ x >> 13;
}

static void set_up_tables(Model *model)
{
    /* 65536 / (1 + exp(-x)) for x = 0, 0.5 .. 12 */
    static const uint16_t logistic[] = {32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357,
                                        64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514, 65523,
                                        65528, 65531, 65533, 65534, 65535, 65535, 65535};
    for (int d = 0; d < LOGIT_END; d++) {
        uint32_t k = (uint32_t)d >> 7, part = (uint32_t)d & 127;
        uint32_t p = (logistic[k] * (128 - part) + logistic[k + 1] * part + 64) >> 7;
        model->probability[LOGIT_END + d] = (uint16_t)p;
        if (d)
            model->probability[LOGIT_END - d] = (uint16_t)(65536 - p);
    }
    model->probability[0] = 1;
    int next = 0; /* the least logit whose probability is at least the middle of the share's interval */
    for (int d = -LOGIT_INPUT; d <= LOGIT_INPUT; d++)
        for (int share = model->probability[LOGIT_END + d] >> 4; next <= share; next++)
            model->logit[next] = (int16_t)d;
    while (next < 4096)
        model->logit[next++] = LOGIT_INPUT;
    for (int seen = 0; seen < SLOTS; seen++) {
        int pace = 655360 / (10 * seen + 16);
        model->pace[seen] = pace < 32767 ? pace : 32767;
    }
}

static int bits_for(int bits, int least, int most)
{
    return bits < least ? least : bits > most ? most : bits;
}

static void even_weights(int32_t *weights, size_t sets, int inputs, int32_t sum)
{
    for (size_t i = 0; i < sets; i++)
        for (int j = 0; j < inputs; j++)
            weights[i * (size_t)inputs + (size_t)j] = j < inputs - 1 ? sum / (inputs - 1) : 0;
}

static void set_up_curves(const Model *model, Curve *curves, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int j = 0; j < CURVE_KNOTS; j++)
            curves[i][j] = model->probability[j < CURVE_KNOTS - 1 ? 256 * j : 2 * LOGIT_END - 1];
}

static void close_model(Model *model)
{
    if (model)
        free(model->memory);
    free(model);
}

/* Returns the model of a band of 1 .. 2^24 pixels before its first one, NULL where memory is short.  All it holds of the
   band is 0. */
static Model *open_model(uint32_t width, uint32_t height, int has_alpha, int has_mask)
{
    Model *model = calloc(1, sizeof *model);
    if (!model)
        return NULL;
    model->width = width;
    model->height = height;
    model->stride = (ptrdiff_t)width + 2 * MARGIN;
    model->has_alpha = has_alpha;
    int size = 0;
    while ((uint64_t)1 << size < (uint64_t)width * height)
        size++;
    model->hit_bits = bits_for(size + 1, 8, 22);
    model->group_bits = bits_for(size, 8, 20);
    model->followed_bits = bits_for(size - 2, 6, 18);
    model->match_bits = bits_for(size, 6, 18);
    size_t area = (size_t)model->stride * (height + 2), before = 2 * (size_t)model->stride + MARGIN;
    size_t groups = sizeof(Group) << model->group_bits, hits = sizeof(Slot) << model->hit_bits;
    size_t followed = sizeof(Followed) << model->followed_bits, matches = sizeof(uint32_t) << model->match_bits;
    uint8_t *memory = model->memory = calloc(groups + hits + HISTORIES * followed + matches + 6 * area, 1);
    if (!memory) {
        close_model(model);
        return NULL;
    }
    model->groups = (Group *)memory;
    model->hits = (Slot *)(memory += groups);
    memory += hits;
    for (int i = 0; i < HISTORIES; i++, memory += followed)
        model->followed[i] = (Followed *)memory;
    model->matches = (uint32_t *)memory;
    model->pixels = (uint32_t *)(memory += matches) + before;
    model->ranks = (memory += area * sizeof(uint32_t)) + before;
    model->inside = has_mask ? memory + area + before : NULL;
    set_up_tables(model);
    even_weights(model->hit_weights[0], 256 * RANKS, HIT_INPUTS, 160000);
    even_weights(model->match_weights[0], 64 * RANKS, HIT_INPUTS, 160000);
    even_weights(model->value_weights[0], 32, VALUE_INPUTS, 150000);
    even_weights(model->seen_weights[0], 64, VALUE_INPUTS, 150000);
    even_weights(model->mask_weights[0], 4, MASK_INPUTS, 100000);
    even_weights(model->row_weights, 1, ROW_INPUTS, 65536);
    set_up_curves(model, model->hit_curves, 256 * RANKS);
    set_up_curves(model, model->match_curves, 64 * RANKS);
    set_up_curves(model, model->value_curves, 32 * 4);
    set_up_curves(model, model->active_curves, 32 * 8);
    set_up_curves(model, model->mask_curves, 4);
    set_up_curves(model, &model->row_curve, 1);
    return model;
}

static inline int limited(int64_t logit)
{
    return (int)(logit > LOGIT_END - 1 ? LOGIT_END - 1 : logit < 1 - LOGIT_END ? 1 - LOGIT_END : logit);
}

static inline void learn(int32_t *weights, const int32_t *inputs, int count, int32_t error, int pace)
{
    int32_t step = (error * pace) >> 4;
    for (int i = 0; i < count; i++) /* unsigned, for a sum that leaves 32 bits goes on at their other end */
        weights[i] = (int32_t)((uint32_t)weights[i] + (uint32_t)((inputs[i] * step + 32768) >> 16));
}

static inline uint32_t bent(const uint16_t *curve, int knot, uint32_t part)
{
    return (curve[knot] * (256 - part) + curve[knot + 1] * part) >> 8;
}

static inline void bend(uint16_t *curve, int knot, int bit)
{
    curve[knot] = (uint16_t)(curve[knot] + (((bit ? 65535 : 0) - curve[knot]) >> 5));
}

/* How likely a decision is, and what both sets of weights and both curves need to learn from it. */
typedef struct {
    int32_t input[VALUE_INPUTS];
    int logit, other_logit, knot;
    uint32_t part, probability;
} Prediction;

/* Predicts a decision from the slots of its contexts, of which there is one fewer than inputs. */
static inline Prediction predict(const Model *model, Slot *const *slots, int inputs, const int32_t *weights,
                                 const int32_t *others, const uint16_t *curve, const uint16_t *other_curve)
{
    Prediction it;
    int64_t sum = 0, other_sum = 0;
    for (int i = 0; i < inputs; i++) {
        it.input[i] = i < inputs - 1 ? model->logit[*slots[i] >> 4 ^ 2048] : 256;
        sum += (int64_t)weights[i] * it.input[i];
        other_sum += (int64_t)others[i] * it.input[i];
    }
    it.logit = limited(sum >> 16);
    it.other_logit = limited(other_sum >> 16);
    int mean = (it.logit + it.other_logit) >> 1;
    it.knot = (mean + LOGIT_END) >> 8;
    it.part = (uint32_t)(mean + LOGIT_END) & 255;
    uint32_t probability = (2u * model->probability[mean + LOGIT_END] + 3 * bent(curve, it.knot, it.part) +
                            3 * bent(other_curve, it.knot, it.part)) >> 3;
    it.probability = probability ? probability : 1;
    return it;
}

/* Codes a decision.  Its contexts, both sets of weights and both curves learn from it. */
static inline int decide(const Model *model, Coder *coder, Slot *const *slots, int inputs, int32_t *weights, int32_t *others,
                         uint16_t *curve, uint16_t *other_curve, int pace, int bit)
{
    Prediction it = predict(model, slots, inputs, weights, others, curve, other_curve);
    bit = code(coder, it.probability, bit);
    learn(weights, it.input, inputs, bit * 65536 - model->probability[it.logit + LOGIT_END], pace);
    learn(others, it.input, inputs, bit * 65536 - model->probability[it.other_logit + LOGIT_END], pace);
    int knot = it.knot + (it.part > 128);
    bend(curve, knot, bit);
    bend(other_curve, knot, bit);
    for (int i = 0; i < inputs - 1; i++) {
        int slot = *slots[i] ^ 0x8000, seen = slot & 15, share = slot >> 4;
        share += (((bit ? 4095 : 0) - share) * model->pace[seen] + 32768) >> 16;
        *slots[i] = (Slot)((share << 4 | (seen < 15 ? seen + 1 : 15)) ^ 0x8000);
    }
    return bit;
}

static inline Slot *hit_slot(const Model *model, uint32_t hash)
{
    return model->hits + (hash * 0x9E3779B1u >> (32 - model->hit_bits));
}

/* Returns the slots of a context of four bits: in one of two places, or in place of those of the two that saw less. */
static inline Slot *group_of(const Model *model, uint32_t hash)
{
    hash *= 0x9E3779B1u;
    uint32_t place = hash >> (32 - model->group_bits);
    Slot name = (Slot)(hash | 1), *group = model->groups[place], *other = model->groups[place ^ 1];
    if (group[0] == name)
        return group;
    if (other[0] == name)
        return other;
    if ((other[1] & 15) < (group[1] & 15)) {
        Slot *kept = group;
        group = other;
        other = kept;
    }
    if (other[1] & 15)
        other[1]--;
    memset(group, 0, sizeof(Group));
    group[0] = name;
    return group;
}

static inline int seen_class(Slot slot)
{
    int seen = slot & 15;
    return (seen > 0) + (seen > 2) + (seen > 7);
}

static inline int clipped(int value)
{
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* The median of left, above and left + above - corner (Martucci 1990). */
static inline int median_edge(int left, int above, int corner)
{
    int larger = left > above ? left : above, smaller = left > above ? above : left;
    return corner >= larger ? smaller : corner <= smaller ? larger : left + above - corner;
}

/* Codes the channels of a pixel bit by bit; r and n point to it and to the one above it. */
static inline uint32_t code_value(Model *model, Coder *coder, const uint32_t *r, const uint32_t *n, uint32_t value)
{
    static const uint8_t shifts[] = {24, 8, 16, 0}; /* alpha, green, red, blue */
    uint32_t result = 0, known = 0;
    int previous = 0, correction = 0, error = 0;
    for (int channel = model->has_alpha ? 0 : 1; channel < 4; channel++) {
        int shift = shifts[channel], left = r[-1] >> shift & 255, far = r[-2] >> shift & 255, above = n[0] >> shift & 255;
        int corner = n[-1] >> shift & 255, right = n[1] >> shift & 255, median = median_edge(left, above, corner);
        int guess = clipped(median + correction), mean = clipped((left + right + 2 * above + 2) / 4 + correction);
        int change = abs(left - corner) + abs(above - corner) + abs(above - right);
        int active = (change > 1) + (change > 4) + (change > 9) + (change > 17) + (change > 29) + (change > 59) + (change > 109);
        const uint32_t contexts[VALUE_INPUTS - 1] = {
            (uint32_t)(active << 8 | guess),  known,          (uint32_t)(left << 8 | previous), (uint32_t)(above << 8 | previous),
            (uint32_t)(guess << 8 | previous), (uint32_t)mean, (uint32_t)(left << 8 | far)};
        uint32_t hashes[VALUE_INPUTS - 1];
        Slot *groups[VALUE_INPUTS - 1] = {NULL}, *slots[VALUE_INPUTS - 1];
        for (int i = 0; i < VALUE_INPUTS - 1; i++)
            hashes[i] = mixed_hash(contexts[i], (uint32_t)(channel << 8 | i));
        int node = 1; /* the bits so far, behind a 1 */
        for (int bit = 7; bit >= 0; bit--) {
            for (int i = 0; (bit & 3) == 3 && i < VALUE_INPUTS - 1; i++)
                groups[i] = group_of(model, hashes[i] + (bit == 3 ? (uint32_t)node * 0x5851F42Du : 0));
            for (int i = 0; i < VALUE_INPUTS - 1; i++)
                slots[i] = groups[i] + (bit > 3 ? node : (node & ((8 >> bit) - 1)) | 8 >> bit);
            int seen = seen_class(*slots[1]), place = channel * 8 + bit;
            node = node << 1 | decide(model, coder, slots, VALUE_INPUTS, model->value_weights[place],
                                      model->seen_weights[(seen_class(*slots[4]) * 4 + seen) * 4 + channel],
                                      model->value_curves[place * 4 + seen], model->active_curves[place * 8 + active],
                                      VALUE_PACE, value >> (shift + bit) & 1);
        }
        previous = node & 255;
        result |= (uint32_t)previous << shift;
        if (channel == 0) {
            if (!previous)
                return 0; /* nobody sees its colour */
            previous = 0; /* colour does not depend on alpha */
            continue;
        }
        known = known * 256 + (uint32_t)previous + 1;
        if (channel == 1)
            correction = error = previous - median;
        else
            correction = (error + previous - median) / 2;
    }
    return model->has_alpha ? result : result | 0xFF000000u;
}

/* What a pixel is guessed from. */
typedef struct {
    Followed *followed[HISTORIES];
    uint32_t matched; /* the colour behind the last equal pixels */
    uint32_t match;   /* how long these are, 1 .. 7; 0 where there are none */
    struct {
        uint32_t colour;
        int is_there;
    } sources[SOURCES]; /* of candidates, in order of rank */
} Guess;

/* Looks up the colours that followed the pixels around r. */
static inline void look_up(const Model *model, const uint32_t *r, Guess *guess)
{
    const uint32_t *n = r - model->stride, *m = n - model->stride;
    uint32_t sums[HISTORIES], *sum = sums + HISTORIES - 1;
    *sum = r[-1] * 0x9E3779B1u + n[0] * 0x85EBCA6Bu + n[1] * 0xC2B2AE35u;
    sum[-1] = sum[0] + n[-1] * 0x27D4EB2Fu + r[-2] * 0x165667B1u + m[0] * 0xD3A2646Cu;
    sum[-2] = sum[-1] + r[-3] * 0xFD7046C5u + n[-2] * 0xB55A4F09u + n[2] * 0x7FEB352Du + m[1] * 0x846CA68Bu +
              m[-1] * 0x2C1B3C6Du + m[2] * 0x297A2D39u;
    sum[-3] = sum[-2] + r[-4] * 0x68E31DA5u + r[-5] * 0xB5297A4Du + n[3] * 0x1B56C4F5u + r[-6] * 0x3C6EF373u;
    for (int i = 0; i < HISTORIES; i++) {
        uint32_t hash = mixed_hash(sums[i], (uint32_t)(HISTORIES - i));
        Followed *followed = guess->followed[i] = model->followed[i] + (hash >> (32 - model->followed_bits));
        if (followed->check != (hash & 255))
            *followed = (Followed){0, 0, (uint8_t)hash};
    }
}

/* Goes on with the match in front of r, or finds a longer one. */
static inline void follow_match(Model *model, const uint32_t *r, Guess *guess)
{
    const uint32_t *first = model->pixels - 2 * model->stride - MARGIN;
    uint32_t place = (uint32_t)(r - first), hash = 0;
    for (int i = MATCH_LEAST; i > 0; i--)
        hash = (hash + r[-i]) * 0x2C1B3C6Du;
    uint32_t *last = model->matches + (mixed_hash(hash, 77) >> (32 - model->match_bits)), before = *last;
    *last = place;
    if (model->match_misses == MATCH_MISSES)
        model->match_distance = 0;
    if (before && model->match_length < MATCH_LONG) {
        uint32_t length = 0;
        while (length < MATCH_LONG && first[before - 1 - length] == first[place - 1 - length])
            length++;
        if (length >= MATCH_LEAST && length > model->match_length) {
            model->match_distance = place - before;
            model->match_length = length;
            model->match_misses = 0;
        }
    }
    uint32_t l = model->match_length;
    guess->match = 0;
    guess->matched = 0;
    if (model->match_distance) {
        guess->match = 1u + (l > 0) + (l > 3) + (l > 7) + (l > 15) + (l > 31) + (l > 127);
        guess->matched = first[place - model->match_distance];
    }
}

static inline void list_sources(const Model *model, const uint32_t *r, Guess *guess)
{
    const uint32_t *n = r - model->stride;
    const Followed *const *followed = (const Followed *const *)guess->followed;
    const uint32_t colours[SOURCES] = {
        guess->matched, followed[0]->colour, followed[1]->colour, followed[2]->colour, guess->matched, followed[3]->colour,
        r[-1], n[0], n[1], n[-1], followed[3]->colour, r[-2], n[-model->stride]};
    const int are_there[SOURCES] = {
        guess->match > 4, followed[0]->times, followed[1]->times, followed[2]->times, guess->match > 0, followed[3]->times > 1,
        1, 1, 1, 1, followed[3]->times, 1, 1};
    for (int i = 0; i < SOURCES; i++) {
        guess->sources[i].colour = colours[i];
        guess->sources[i].is_there = are_there[i];
    }
}

/* Whether a source is there and none before it has its colour. */
static inline int is_candidate(const Guess *guess, int index)
{
    int is_new = guess->sources[index].is_there;
    for (int i = 0; i < index && is_new; i++)
        is_new = !guess->sources[i].is_there || guess->sources[i].colour != guess->sources[index].colour;
    return is_new;
}

/* The contexts of a pixel that all its candidates share, hashed. */
typedef struct {
    uint32_t equal, past, left, match;
} Around;

/* history: the ranks of the pixels in front of r, four bits each. */
static inline Around around(const Model *model, const uint32_t *r, const uint8_t *ranks, uint32_t history, const Guess *guess)
{
    const uint32_t *n = r - model->stride, *m = n - model->stride;
    const uint8_t *above = ranks - model->stride;
    return (Around){
        .equal = (uint32_t)((r[-1] == n[0]) | (n[0] == n[1]) << 1 | (r[-1] == n[-1]) << 2 | (n[0] == n[-1]) << 3 |
                            (r[-1] == r[-2]) << 4 | (n[0] == m[0]) << 5 | (n[1] == n[2]) << 6 | (n[1] == m[1]) << 7),
        .past = mixed_hash(history & 0xFFFFF, (uint32_t)(above[0] | above[1] << 4 | above[-1] << 8 | above[2] << 12)),
        .left = mixed_hash(r[-1], 16),
        .match = mixed_hash(guess->match, 18),
    };
}

/* What says how likely a candidate is: slots, sets of weights and curves. */
typedef struct {
    Slot *slots[HIT_INPUTS - 1];
    int32_t *weights, *match_weights;
    uint16_t *curve, *match_curve;
} Hit;

static inline Hit hit_of(Model *model, const uint32_t *r, const Around *place, const Guess *guess, uint32_t colour, int rank)
{
    const uint32_t *n = r - model->stride, *m = n - model->stride;
    uint32_t k = rank < RANKS ? (uint32_t)rank : RANKS - 1, agree = 0;
    for (int j = 0; j < HISTORIES; j++) {
        int times = guess->followed[j]->colour == colour ? guess->followed[j]->times : 0;
        agree = agree << 2 | (uint32_t)((times > 0) + (times > 1) + (times > 3));
    }
    uint32_t beside = (uint32_t)((r[-1] == colour) | (n[0] == colour) << 1 | (n[1] == colour) << 2 | (n[-1] == colour) << 3 |
                                 (r[-2] == colour) << 4 | (m[0] == colour) << 5);
    uint32_t matching = guess->matched == colour ? guess->match : 0;
    uint32_t set = agree * RANKS + k, match_set = (matching * 8 + guess->match) * RANKS + k;
    return (Hit){
        .slots = {hit_slot(model, mixed_hash(matching << 16 | agree << 6 | beside, k + 1000)),
                  hit_slot(model, mixed_hash(place->equal << 6 | beside, k + 2000)),
                  hit_slot(model, mixed_hash(mixed_hash(colour, n[0]), place->left)),
                  hit_slot(model, mixed_hash(mixed_hash(colour, guess->matched), place->match)),
                  hit_slot(model, mixed_hash(place->past, k + 8000))},
        .weights = model->hit_weights[set],
        .match_weights = model->match_weights[match_set],
        .curve = model->hit_curves[set],
        .match_curve = model->match_curves[match_set],
    };
}

/* Returns the colour to code for r: value, or one that costs less and is near enough; place is NULL where r is not asked
   for.  A reader returns value. */
static inline uint32_t cheaper(Model *model, Coder *coder, const uint32_t *r, const Around *place, const Guess *guess,
                               uint32_t value);

/* Codes which of the candidates a pixel is.  Returns its rank, or ESCAPED. */
static inline int code_rank(Model *model, Coder *coder, const uint32_t *r, const Around *place, const Guess *guess,
                            uint32_t *value)
{
    int rank = 0;
    for (int i = 0; i < SOURCES; i++) {
        if (!is_candidate(guess, i))
            continue;
        uint32_t colour = guess->sources[i].colour;
        Hit hit = hit_of(model, r, place, guess, colour, rank);
        if (decide(model, coder, hit.slots, HIT_INPUTS, hit.weights, hit.match_weights, hit.curve, hit.match_curve, HIT_PACE,
                   colour == *value)) {
            *value = colour;
            return rank;
        }
        rank++;
    }
    return ESCAPED;
}

/* The rank of a pixel that was not asked for. */
static inline int rank_of(const Guess *guess, uint32_t value)
{
    int rank = 0;
    for (int i = 0; i < SOURCES; i++)
        if (is_candidate(guess, i)) {
            if (guess->sources[i].colour == value)
                return rank;
            rank++;
        }
    return ESCAPED;
}

static inline void learn_pixel(Model *model, Guess *guess, uint32_t value)
{
    for (int i = 0; i < HISTORIES; i++) {
        Followed *followed = guess->followed[i];
        if (followed->times && followed->colour == value)
            followed->times = (uint8_t)(followed->times + (followed->times < 255));
        else if (followed->times > 1)
            followed->times >>= 1;
        else {
            followed->colour = value;
            followed->times = 1;
        }
    }
    if (guess->match && guess->matched == value) {
        model->match_length += model->match_length < 65535;
        if (model->match_length > 15)
            model->match_misses = 0;
    } else if (guess->match) {
        model->match_length = 0;
        model->match_misses++;
    }
}

/* Codes a pixel; a reader's value is 0.  history: the ranks of those in front of it, four bits each. */
static inline uint32_t code_pixel(Model *model, Coder *coder, const uint32_t *r, uint8_t *ranks, uint32_t *history,
                                  uint32_t value)
{
    Guess guess;
    look_up(model, r, &guess);
    follow_match(model, r, &guess);
    list_sources(model, r, &guess);
    const uint8_t *above = ranks - model->stride;
    int is_asked = ranks[-1] != ESCAPED || above[0] != ESCAPED || above[1] != ESCAPED || above[-1] != ESCAPED ||
                   guess.match > 2 || guess.followed[0]->times || guess.followed[1]->times || guess.followed[2]->times;
    int rank = ESCAPED;
    if (is_asked) {
        Around place = around(model, r, ranks, *history, &guess);
        value = cheaper(model, coder, r, &place, &guess, value);
        rank = code_rank(model, coder, r, &place, &guess, &value);
    } else
        value = cheaper(model, coder, r, NULL, &guess, value);
    if (rank == ESCAPED) {
        value = code_value(model, coder, r, r - model->stride, value);
        if (!is_asked)
            rank = rank_of(&guess, value);
    }
    learn_pixel(model, &guess, value);
    ranks[0] = (uint8_t)rank;
    *history = *history << 4 | (uint32_t)rank;
    return value;
}

/* Codes which pixels of a band are coded.  Returns how many rows of that are whole. */
static uint32_t code_mask(Model *model, Coder *coder)
{
    for (uint32_t y = 0; y < model->height; y++)
        for (uint32_t x = 0; x < model->width; x++) {
            uint8_t *inside = model->inside + (ptrdiff_t)y * model->stride + x;
            const uint8_t *n = inside - model->stride, *m = n - model->stride;
            uint32_t near = (uint32_t)(inside[-1] | n[0] << 1 | n[-1] << 2 | n[1] << 3);
            uint32_t wide = near | (uint32_t)(inside[-2] << 4 | n[2] << 5 | n[-2] << 6 | m[0] << 7 | m[-1] << 8 | m[1] << 9);
            Slot *slots[] = {model->mask_near + wide, model->mask_place + ((y & 15) << 8 | (x & 15) << 4 | near)};
            uint32_t set = near & 3;
            *inside = (uint8_t)decide(model, coder, slots, MASK_INPUTS, model->mask_weights[set], model->mask_weights[set],
                                      model->mask_curves[set], model->mask_curves[set], HIT_PACE, *inside);
            if (coder->has_failed)
                return y;
        }
    return model->height;
}

/* Codes whether all pixels of a row are those above them. */
static inline int code_repetition(Model *model, Coder *coder, const uint32_t *row, const uint8_t *inside, uint32_t past)
{
    int is_same = 1;
    for (ptrdiff_t x = 0; x < (ptrdiff_t)model->width && is_same; x++)
        is_same = (inside && !inside[x]) || row[x] == row[x - model->stride];
    Slot *slots[] = {model->rows + (past & 3)};
    return decide(model, coder, slots, ROW_INPUTS, model->row_weights, model->row_weights, model->row_curve, model->row_curve,
                  HIT_PACE, is_same);
}

/* Codes the pixels of a band, whose mask, if it has one, is known.  Returns how many rows are whole. */
static uint32_t code_pixels(Model *model, Coder *coder)
{
    ptrdiff_t width = model->width;
    uint32_t repetitions = 0; /* of the rows so far, a bit each */
    for (uint32_t y = 0; y < model->height; y++) {
        uint32_t *row = model->pixels + (ptrdiff_t)y * model->stride, *above = row - model->stride, history = 0;
        uint8_t *ranks = model->ranks + (ptrdiff_t)y * model->stride;
        const uint8_t *inside = model->inside ? model->inside + (ptrdiff_t)y * model->stride : NULL;
        for (int i = 1; i <= MARGIN; i++) {
            row[-i] = above[0];
            above[width - 1 + i] = above[width - 1];
        }
        int is_same = code_repetition(model, coder, row, inside, repetitions);
        repetitions = repetitions << 1 | (uint32_t)is_same;
        for (ptrdiff_t x = 0; x < width; x++) {
            if (inside && !inside[x])
                row[x] = row[x - 1];
            else if (is_same)
                row[x] = above[x];
            else
                row[x] = code_pixel(model, coder, row + x, ranks + x, &history, row[x]);
            if (coder->has_failed)
                return y;
        }
    }
    return model->height;
}

#endif
