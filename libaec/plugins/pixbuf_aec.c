/* A loader for gdk-pixbuf, the library by which GNOME's and GTK's programs open pictures.

   Bytes are collected, and decoded when all are there; a picture that is wanted smaller is decoded at a scale.  Weights are
   opened once for the process. */

#define GDK_PIXBUF_ENABLE_BACKEND
#include <gdk-pixbuf/gdk-pixbuf.h>

#include "aec.h"
#include "weights_path.h"

#include <string.h>

typedef struct {
    GByteArray *data;
    GdkPixbufModuleSizeFunc size;
    GdkPixbufModulePreparedFunc prepared;
    GdkPixbufModuleUpdatedFunc updated;
    gpointer user;
} Load;

static gboolean fail(GError **error, aec_result result)
{
    int code = result.status == AEC_MEMORY || result.status == AEC_LIMIT ? GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY
               : result.status == AEC_WEIGHTS || result.status == AEC_UNSUPPORTED ? GDK_PIXBUF_ERROR_UNSUPPORTED_OPERATION
                                                                                  : GDK_PIXBUF_ERROR_CORRUPT_IMAGE;
    g_set_error_literal(error, GDK_PIXBUF_ERROR, code, result.message);
    return FALSE;
}

/* The weights of an id, opened once and kept.  Those for scales alone are opened much faster. */
static const aec_weights *open_weights(const guint8 id[4], gboolean is_small, aec_result *result)
{
    static GMutex mutex;
    static GHashTable *opened; /* by id and kind */
    guint32 number;
    memcpy(&number, id, 4);
    gint64 whole = (gint64)number << 1, key = whole | (is_small ? 1 : 0);
    g_mutex_lock(&mutex);
    if (!opened)
        opened = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    aec_weights *weights = g_hash_table_lookup(opened, &whole);
    if (!weights)
        weights = g_hash_table_lookup(opened, &key);
    if (!weights) {
        char path[AEC_PATH_SIZE];
        GMappedFile *file = aec_find_weights(id, path) ? g_mapped_file_new(path, FALSE, NULL) : NULL;
        *result = (aec_result){AEC_WEIGHTS, "the weights of the file are not installed; see docs/viewers.md of aecodec"};
        if (file) {
            const char *data = g_mapped_file_get_contents(file);
            gsize size = g_mapped_file_get_length(file);
            *result = is_small ? aec_weights_open_for_scales(data, size, id, &weights)
                               : aec_weights_open_as(data, size, id, &weights);
            g_mapped_file_unref(file);
        }
        if (weights)
            g_hash_table_insert(opened, g_memdup2(&key, sizeof key), weights);
    }
    g_mutex_unlock(&mutex);
    return weights;
}

static void free_pixels(guchar *pixels, gpointer unused)
{
    (void)unused;
    g_free(pixels);
}

/* Samples of one or two channels become three or four. */
static guchar *with_colour(guchar *samples, gsize pixels, guint channels)
{
    guchar *wide = g_try_malloc_n(pixels, channels + 2);
    for (gsize i = 0; wide && i < pixels; i++) {
        guchar *to = wide + i * (channels + 2);
        to[0] = to[1] = to[2] = samples[i * channels];
        if (channels == 2)
            to[3] = samples[i * 2 + 1];
    }
    g_free(samples);
    return wide;
}

static GdkPixbuf *decode(const guint8 *data, gsize size, const aec_info *info, int scale, aec_result *result)
{
    aec_options options = {.depth = 8, .scale = scale, .parallel = aec_run_threads};
    options.threads = (int)MIN(g_get_num_processors(), 8);
    options.context = &options.threads;
    const aec_weights *weights = info->lossless ? NULL : open_weights(info->weights, scale > 1, result);
    if (!info->lossless && !weights)
        return NULL;
    gsize width = (info->width + (guint)scale - 1) / (guint)scale, height = (info->height + (guint)scale - 1) / (guint)scale;
    guchar *samples = g_try_malloc_n(width * height, info->channels);
    if (samples) {
        *result = aec_decode(weights, data, size, &options, samples, width * height * info->channels);
        if (result->status == AEC_OK && info->channels < 3)
            samples = with_colour(samples, width * height, info->channels);
    }
    if (!samples)
        *result = (aec_result){AEC_MEMORY, "memory ran out"};
    if (result->status != AEC_OK) {
        g_free(samples);
        return NULL;
    }
    gboolean has_alpha = info->channels % 2 == 0;
    return gdk_pixbuf_new_from_data(samples, GDK_COLORSPACE_RGB, has_alpha, 8, (int)width, (int)height,
                                    (int)width * (has_alpha ? 4 : 3), free_pixels, NULL);
}

static void describe(GdkPixbuf *pixbuf, const guint8 *data, gsize size)
{
    gchar *orientation = g_strdup_printf("%u", aec_orientation(data, size));
    gdk_pixbuf_set_option(pixbuf, "orientation", orientation);
    g_free(orientation);
    guint8 *profile = NULL;
    gsize length;
    if (aec_read_metadata(data, size, 'c', &profile, &length).status == AEC_OK && profile) {
        gchar *text = g_base64_encode(profile, length);
        gdk_pixbuf_set_option(pixbuf, "icc-profile", text);
        g_free(text);
    }
    aec_free(profile);
}

static gpointer begin_load(GdkPixbufModuleSizeFunc size, GdkPixbufModulePreparedFunc prepared,
                           GdkPixbufModuleUpdatedFunc updated, gpointer user, GError **error)
{
    (void)error;
    Load *load = g_new0(Load, 1);
    *load = (Load){g_byte_array_new(), size, prepared, updated, user};
    return load;
}

static gboolean load_increment(gpointer context, const guchar *data, guint size, GError **error)
{
    (void)error;
    g_byte_array_append(((Load *)context)->data, data, size);
    return TRUE;
}

static gboolean finish(Load *load, GError **error)
{
    const guint8 *data = load->data->data;
    aec_info info;
    aec_result result = {AEC_DAMAGED, "the file is empty"};
    if (load->data->len)
        result = aec_read_info(data, load->data->len, &info);
    if (result.status != AEC_OK)
        return fail(error, result);
    if ((guint64)info.width * info.height > AEC_MAX_PIXELS)
        return fail(error, (aec_result){AEC_LIMIT, "the picture is over the limit of pixels"});
    int width = (int)info.width, height = (int)info.height, scale = 1;
    if (load->size)
        load->size(&width, &height, load->user);
    if (width <= 0 || height <= 0) /* the caller wanted the size alone */
        return fail(error, (aec_result){AEC_ARGUMENT, "the picture is not wanted"});
    while (scale < 16 && info.width / (guint)width >= 2 * (guint)scale && info.height / (guint)height >= 2 * (guint)scale)
        scale *= 2;
    GdkPixbuf *pixbuf = decode(data, load->data->len, &info, scale, &result);
    if (pixbuf && (gdk_pixbuf_get_width(pixbuf) != width || gdk_pixbuf_get_height(pixbuf) != height)) {
        GdkPixbuf *whole = pixbuf;
        pixbuf = gdk_pixbuf_scale_simple(whole, width, height, GDK_INTERP_BILINEAR);
        g_object_unref(whole);
        if (!pixbuf)
            result = (aec_result){AEC_MEMORY, "memory ran out"};
    }
    if (!pixbuf)
        return fail(error, result);
    describe(pixbuf, data, load->data->len);
    if (load->prepared)
        load->prepared(pixbuf, NULL, load->user);
    if (load->updated)
        load->updated(pixbuf, 0, 0, width, height, load->user);
    g_object_unref(pixbuf);
    return TRUE;
}

static gboolean stop_load(gpointer context, GError **error)
{
    Load *load = context;
    gboolean done = finish(load, error);
    g_byte_array_unref(load->data);
    g_free(load);
    return done;
}

G_MODULE_EXPORT void fill_vtable(GdkPixbufModule *module);
G_MODULE_EXPORT void fill_info(GdkPixbufFormat *format);

void fill_vtable(GdkPixbufModule *module)
{
    module->begin_load = begin_load;
    module->load_increment = load_increment;
    module->stop_load = stop_load;
}

void fill_info(GdkPixbufFormat *format)
{
    static GdkPixbufModulePattern signature[] = {{"\x8f" "aec\r\n\n", NULL, 100}, {NULL, NULL, 0}};
    static gchar *types[] = {"image/x-aec", NULL}, *extensions[] = {"aec", NULL};
    format->name = "aec";
    format->signature = signature;
    format->description = "aecodec picture";
    format->mime_types = types;
    format->extensions = extensions;
    format->flags = GDK_PIXBUF_FORMAT_THREADSAFE;
    format->license = "Apache-2.0";
}
