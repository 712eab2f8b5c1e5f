/* A plug-in by which GIMP 2.10 opens .aec files: with their depth, alpha, profile and metadata, and turned as GIMP is set. */

#include <libgimp/gimp.h>
#include <libgimp/gimpui.h>

#include "aec.h"
#include "weights_path.h"

#define PROCEDURE "file-aec-load"
#define TYPE "image/x-aec"
#define BINARY "aec"

static void query(void)
{
    static const GimpParamDef arguments[] = {
        {GIMP_PDB_INT32, (gchar *)"run-mode", (gchar *)"The run mode { RUN-INTERACTIVE (0), RUN-NONINTERACTIVE (1) }"},
        {GIMP_PDB_STRING, (gchar *)"filename", (gchar *)"The file to open"},
        {GIMP_PDB_STRING, (gchar *)"raw-filename", (gchar *)"Its name as it was entered"},
    };
    static const GimpParamDef returned[] = {{GIMP_PDB_IMAGE, (gchar *)"image", (gchar *)"The picture"}};
    gimp_install_procedure(PROCEDURE, "Opens aecodec pictures", "Opens aecodec pictures (.aec)", "aecodec", "Apache-2.0", "2026",
                           "aecodec picture", NULL, GIMP_PLUGIN, G_N_ELEMENTS(arguments), G_N_ELEMENTS(returned), arguments,
                           returned);
    gimp_register_file_handler_mime(PROCEDURE, TYPE);
    gimp_register_magic_load_handler(PROCEDURE, "aec", "", "0,string,\\217aec\\r\\n\\n");
}

/* The weights of a file. */
static aec_result open_weights(const guint8 id[4], aec_weights **weights)
{
    char path[AEC_PATH_SIZE];
    GMappedFile *file = aec_find_weights(id, path) ? g_mapped_file_new(path, FALSE, NULL) : NULL;
    if (!file)
        return (aec_result){AEC_WEIGHTS, "the weights of the file are not installed; see docs/viewers.md of aecodec"};
    aec_result result = aec_weights_open_as(g_mapped_file_get_contents(file), g_mapped_file_get_length(file), id, weights);
    g_mapped_file_unref(file);
    return result;
}

/* An image of GIMP with one layer of these samples. */
static gint32 make_image(const gchar *path, const aec_info *info, const void *samples)
{
    static const gchar *const models[] = {"Y'", "Y'A", "R'G'B'", "R'G'B'A"};
    static const GimpImageType types[] = {GIMP_GRAY_IMAGE, GIMP_GRAYA_IMAGE, GIMP_RGB_IMAGE, GIMP_RGBA_IMAGE};
    gboolean is_deep = info->depth > 8;
    gint width = (gint)info->width, height = (gint)info->height;
    gint32 image = gimp_image_new_with_precision(width, height, info->channels < 3 ? GIMP_GRAY : GIMP_RGB,
                                                 is_deep ? GIMP_PRECISION_U16_GAMMA : GIMP_PRECISION_U8_GAMMA);
    gint32 layer = gimp_layer_new(image, "Background", width, height, types[info->channels - 1], 100,
                                  gimp_image_get_default_new_layer_mode(image));
    gimp_image_set_filename(image, path);
    gimp_image_insert_layer(image, layer, -1, 0);
    GeglBuffer *buffer = gimp_drawable_get_buffer(layer);
    gchar *format = g_strdup_printf("%s %s", models[info->channels - 1], is_deep ? "u16" : "u8");
    gegl_buffer_set(buffer, GEGL_RECTANGLE(0, 0, width, height), 0, babl_format(format), samples, GEGL_AUTO_ROWSTRIDE);
    g_free(format);
    g_object_unref(buffer);
    return image;
}

/* Profile, EXIF and XMP, as far as GIMP understands them. */
static void describe(gint32 image, const guint8 *data, gsize size, gboolean is_interactive)
{
    guint8 *body = NULL;
    gsize length;
    if (aec_read_metadata(data, size, 'c', &body, &length).status == AEC_OK && body) {
        GimpColorProfile *profile = gimp_color_profile_new_from_icc_profile(body, length, NULL);
        if (profile) {
            gimp_image_set_color_profile(image, profile);
            g_object_unref(profile);
        }
    }
    aec_free(body);
    GimpMetadata *metadata = gimp_metadata_new();
    if (aec_read_metadata(data, size, 'e', &body, &length).status == AEC_OK && body)
        gimp_metadata_set_from_exif(metadata, body, (gint)length, NULL);
    aec_free(body);
    if (aec_read_metadata(data, size, 'x', &body, &length).status == AEC_OK && body)
        gimp_metadata_set_from_xmp(metadata, body, (gint)length, NULL);
    aec_free(body);
    gimp_image_metadata_load_finish(image, TYPE, metadata, GIMP_METADATA_LOAD_ALL, is_interactive);
    g_object_unref(metadata);
}

static aec_result load(const gchar *path, gboolean is_interactive, gint32 *image)
{
    gchar *data;
    gsize size;
    aec_info info;
    aec_weights *weights = NULL;
    if (!g_file_get_contents(path, &data, &size, NULL))
        return (aec_result){AEC_ARGUMENT, "the file cannot be read"};
    aec_result result = aec_read_info((guint8 *)data, size, &info);
    if (result.status == AEC_OK && (guint64)info.width * info.height > AEC_MAX_PIXELS)
        result = (aec_result){AEC_LIMIT, "the picture is over the limit of pixels"};
    if (result.status == AEC_OK && !info.lossless)
        result = open_weights(info.weights, &weights);
    if (result.status == AEC_OK) {
        aec_options options = {.depth = info.depth > 8 ? 16 : 8, .parallel = aec_run_threads};
        options.threads = (int)MIN(g_get_num_processors(), 8);
        options.context = &options.threads;
        gsize capacity = (gsize)info.width * info.height * info.channels * (info.depth > 8 ? 2 : 1);
        void *samples = g_try_malloc(capacity);
        result = samples ? aec_decode(weights, (guint8 *)data, size, &options, samples, capacity)
                         : (aec_result){AEC_MEMORY, "memory ran out"};
        if (result.status == AEC_OK) {
            *image = make_image(path, &info, samples);
            describe(*image, (guint8 *)data, size, is_interactive);
        }
        g_free(samples);
    }
    aec_weights_free(weights);
    g_free(data);
    return result;
}

static void run(const gchar *name, gint count, const GimpParam *arguments, gint *returned_count, GimpParam **returned)
{
    static GimpParam values[2];
    (void)name;
    *returned = values;
    *returned_count = 2;
    values[0].type = GIMP_PDB_STATUS;
    gegl_init(NULL, NULL);
    gboolean is_interactive = count > 0 && arguments[0].data.d_int32 == GIMP_RUN_INTERACTIVE;
    if (is_interactive)
        gimp_ui_init(BINARY, FALSE);
    gint32 image = -1;
    aec_result result = {AEC_ARGUMENT, "no file is named"};
    if (count > 1)
        result = load(arguments[1].data.d_string, is_interactive, &image);
    values[0].data.d_status = result.status == AEC_OK ? GIMP_PDB_SUCCESS : GIMP_PDB_EXECUTION_ERROR;
    values[1].type = result.status == AEC_OK ? GIMP_PDB_IMAGE : GIMP_PDB_STRING;
    if (result.status == AEC_OK)
        values[1].data.d_image = image;
    else
        values[1].data.d_string = (gchar *)result.message;
}

const GimpPlugInInfo PLUG_IN_INFO = {NULL, NULL, query, run};

MAIN()
