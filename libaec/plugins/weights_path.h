/* Where plugins find weights, by id: ID.safetensors in one of the folders $AEC_WEIGHTS_PATH (with colons between them),
   $XDG_DATA_HOME/aecodec/weights, /usr/local/share/aecodec/weights and /usr/share/aecodec/weights.  "aecodec desktop install"
   makes the second one. */

#ifndef AEC_WEIGHTS_PATH_H
#define AEC_WEIGHTS_PATH_H

#include <glib.h>

/* Opens the file of weights; NULL where there is none. */
static GMappedFile *map_weights(const guint8 id[4])
{
    gchar *name = g_strdup_printf("%02x%02x%02x%02x.safetensors", id[0], id[1], id[2], id[3]);
    gchar *own = g_build_filename(g_get_user_data_dir(), "aecodec", "weights", NULL);
    const gchar *path = g_getenv("AEC_WEIGHTS_PATH");
    gchar *all = g_strjoin(":", path ? path : "", own, "/usr/local/share/aecodec/weights", "/usr/share/aecodec/weights", NULL);
    gchar **folders = g_strsplit(all, ":", -1);
    GMappedFile *found = NULL;
    for (gsize i = 0; folders[i] && !found; i++) {
        gchar *file = *folders[i] ? g_build_filename(folders[i], name, NULL) : NULL;
        if (file)
            found = g_mapped_file_new(file, FALSE, NULL);
        g_free(file);
    }
    g_strfreev(folders);
    g_free(all);
    g_free(own);
    g_free(name);
    return found;
}

#endif
