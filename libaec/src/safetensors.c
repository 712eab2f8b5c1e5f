/* Tensors of a safetensors file: a length, a JSON object, the bytes.  A tensor is found by its name. */

#include "internal.h"

#include <string.h>

#define HEADER_MAX (1u << 20) /* bytes of JSON; those of models are some 15 thousand */

typedef struct {
    const char *at, *end;
} Text;

static void skip_space(Text *text)
{
    while (text->at < text->end && (*text->at == ' ' || *text->at == '\n' || *text->at == '\t' || *text->at == '\r'))
        text->at++;
}

/* Takes a character; false where another one, or none, comes. */
static int accept(Text *text, char wanted)
{
    skip_space(text);
    if (text->at == text->end || *text->at != wanted)
        return 0;
    text->at++;
    return 1;
}

/* Takes a string, its quotes left out and its escapes as they are. */
static int take_string(Text *text, Text *string)
{
    if (!accept(text, '"'))
        return 0;
    string->at = text->at;
    while (text->at < text->end && *text->at != '"')
        text->at += *text->at == '\\' && text->end - text->at > 1 ? 2 : 1;
    string->end = text->at;
    return accept(text, '"');
}

static int equals(Text string, const char *wanted)
{
    size_t size = strlen(wanted);
    return (size_t)(string.end - string.at) == size && !memcmp(string.at, wanted, size);
}

static int take_number(Text *text, uint64_t *number)
{
    skip_space(text);
    const char *start = text->at;
    *number = 0;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9' && text->at - start < 18)
        *number = *number * 10 + (uint64_t)(*text->at++ - '0');
    return text->at > start;
}

/* Takes "[a, b, ..]" of at most `most` numbers; returns how many, or -1. */
static int take_numbers(Text *text, uint64_t *numbers, int most)
{
    int count = 0;
    if (!accept(text, '['))
        return -1;
    if (accept(text, ']'))
        return 0;
    do {
        if (count == most || !take_number(text, numbers + count++))
            return -1;
    } while (accept(text, ','));
    return accept(text, ']') ? count : -1;
}

/* Skips an object, whatever is in it. */
static int skip_object(Text *text)
{
    int depth = 0;
    do {
        Text string;
        skip_space(text);
        if (text->at == text->end)
            return 0;
        if (*text->at == '"') {
            if (!take_string(text, &string))
                return 0;
            continue;
        }
        depth += *text->at == '{';
        depth -= *text->at == '}';
        text->at++;
        while (depth && text->at < text->end && *text->at != '"' && *text->at != '{' && *text->at != '}') /* most of it */
            text->at++;
    } while (depth > 0);
    return 1;
}

static int take_tensor(Text *text, const aec_tensors *tensors, aec_tensor *tensor)
{
    uint64_t shape[4] = {0}, offsets[2] = {0};
    int dimensions = -1, ends = -1, size = 0;
    if (!accept(text, '{'))
        return 0;
    do {
        Text key, type;
        if (!take_string(text, &key) || !accept(text, ':'))
            return 0;
        if (equals(key, "dtype")) {
            if (!take_string(text, &type))
                return 0;
            tensor->type = equals(type, "I8") ? TYPE_I8 : equals(type, "I32") ? TYPE_I32 : TYPE_F16;
            size = equals(type, "I8") ? 1 : equals(type, "I32") ? 4 : equals(type, "F16") ? 2 : 0;
        } else if (equals(key, "shape"))
            dimensions = take_numbers(text, shape, 4);
        else if (equals(key, "data_offsets"))
            ends = take_numbers(text, offsets, 2);
        else
            return 0;
    } while (accept(text, ','));
    if (!accept(text, '}') || !size || dimensions < 1 || ends != 2)
        return 0;
    uint64_t count = 1;
    tensor->dimensions = dimensions;
    for (int i = 0; i < 4; i++) {
        if (i < dimensions && (!shape[i] || shape[i] > 1 << 20 || count > (uint64_t)1 << 31))
            return 0;
        tensor->shape[i] = i < dimensions ? (uint32_t)shape[i] : 1;
        count *= tensor->shape[i];
    }
    if (offsets[1] > tensors->size || offsets[0] > offsets[1] || offsets[1] - offsets[0] != count * (uint64_t)size)
        return 0;
    tensor->count = (size_t)count;
    tensor->data = tensors->data + offsets[0];
    return 1;
}

aec_result aec_tensors_open(const uint8_t *data, size_t size, aec_tensors *tensors)
{
    if (size < 8 || load32(data + 4) || load32(data) > HEADER_MAX || load32(data) > size - 8)
        FAIL(AEC_WEIGHTS, "the weights are no safetensors file");
    tensors->end = (const char *)data + 8 + load32(data);
    tensors->data = (const uint8_t *)tensors->end;
    tensors->size = size - 8 - load32(data);
    tensors->rest = NULL;
    tensors->count = 0;
    Text text = {(const char *)data + 8, tensors->end}, key;
    for (char before = '{'; accept(&text, before); before = ',') {
        if (tensors->count == TENSOR_NAMES) {
            tensors->rest = text.at;
            break;
        }
        if (!take_string(&text, &key))
            break;
        tensors->names[tensors->count] = key.at;
        tensors->name_sizes[tensors->count++] = (size_t)(key.end - key.at);
        if (!accept(&text, ':') || !skip_object(&text))
            break;
    }
    return OK;
}

int aec_tensors_find(const aec_tensors *tensors, const char *name, aec_tensor *tensor)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < tensors->count; i++)
        if (tensors->name_sizes[i] == size && !memcmp(tensors->names[i], name, size)) {
            Text text = {tensors->names[i] + size + 1, tensors->end};
            return accept(&text, ':') && take_tensor(&text, tensors, tensor);
        }
    Text text = {tensors->rest, tensors->end}, key;
    while (text.at && take_string(&text, &key) && accept(&text, ':')) {
        if (equals(key, name))
            return take_tensor(&text, tensors, tensor);
        if (!skip_object(&text) || !accept(&text, ','))
            return 0;
    }
    return 0;
}
