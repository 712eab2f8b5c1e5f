/* Damages files, and opens them by gdk-pixbuf as GTK's programs do: "make fuzz-gdk-pixbuf".

   usage: GDK_PIXBUF_MODULE_FILE=loaders.cache pixbuf COUNT FILE...

   Each file is damaged COUNT times: bits change, its end is cut off or bytes are repeated, and mostly its checksums are set
   right again.  It comes in pieces, and a program asks for its size, a smaller picture, or nothing.  Prints how many pictures
   were shown; fails if an unharmed file is refused, or if something breaks the rules of gdk-pixbuf.  $SEED begins other
   damage. */

#include "checksums.h"

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <stdlib.h>
#include <string.h>

static GRand *dice;

static gsize below(gsize limit)
{
    return limit ? (gsize)(g_rand_double(dice) * (double)limit) : 0;
}

/* A damaged copy of its own size, so that a sanitizer sees every byte beyond it. */
static guint8 *damage(const guint8 *data, gsize *size)
{
    gsize kept = below(3) ? *size : below(*size + 1);
    guint8 *copy = g_malloc(kept ? kept : 1);
    memcpy(copy, data, kept);
    for (gsize changes = below(4); kept && changes; changes--)
        copy[below(below(2) ? kept : MIN(kept, 64))] ^= (guint8)(1 << below(8)); /* half of them where sizes are */
    if (kept > 64 && !below(8))
        memmove(copy + kept / 2, copy + below(kept / 2), kept - kept / 2);
    if (below(8))
        set_checksums(copy, kept);
    *size = kept;
    return copy;
}

typedef struct {
    int side; /* of the picture that is wanted; 0: its own; -1: none, its size was enough */
} Wish;

static void on_size(GdkPixbufLoader *loader, int width, int height, Wish *wish)
{
    g_assert(width > 0 && height > 0);
    gboolean is_large = (gint64)width * height > 1 << 15; /* whole pictures take seconds with all the checks */
    int most = MAX(width, height), side = is_large && wish->side >= 0 ? 64 : wish->side;
    if (side < 0)
        gdk_pixbuf_loader_set_size(loader, 0, 0);
    else if (side)
        gdk_pixbuf_loader_set_size(loader, MAX(width * (gint64)side / most, 1), MAX(height * (gint64)side / most, 1));
}

/* Whether a picture was shown.  Reads all its pixels, and its options.  unharmed: its name, where it must be shown. */
static gboolean show(const guint8 *data, gsize size, Wish wish, const char *unharmed)
{
    GError *error = NULL;
    GdkPixbufLoader *loader = gdk_pixbuf_loader_new();
    g_signal_connect(loader, "size-prepared", G_CALLBACK(on_size), &wish);
    gsize piece = below(2) ? size : 1 + below(4000), at = 0;
    gboolean is_good = TRUE;
    while (is_good && at < size) {
        gsize count = MIN(piece, size - at);
        is_good = gdk_pixbuf_loader_write(loader, data + at, count, &error);
        at += count;
    }
    if (is_good)
        is_good = gdk_pixbuf_loader_close(loader, &error);
    else
        gdk_pixbuf_loader_close(loader, NULL);
    g_assert(is_good == !error);
    GdkPixbuf *pixbuf = gdk_pixbuf_loader_get_pixbuf(loader);
    g_assert(!is_good || pixbuf);
    if (is_good) {
        GdkPixbuf *turned = gdk_pixbuf_apply_embedded_orientation(pixbuf), *copy = gdk_pixbuf_copy(turned);
        g_hash_table_unref(gdk_pixbuf_get_options(pixbuf));
        g_object_unref(copy);
        g_object_unref(turned);
    }
    if (unharmed && error) {
        printf("%s: %s\n", unharmed, error->message);
        exit(1);
    }
    g_clear_error(&error);
    g_object_unref(loader);
    return is_good;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int count = atoi(argv[1]);
    setvbuf(stdout, NULL, _IOLBF, 0); /* a sanitizer ends the program at once */
    dice = g_rand_new_with_seed(g_getenv("SEED") ? (guint32)atoi(g_getenv("SEED")) : 1);
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING | G_LOG_FATAL_MASK);
    for (int i = 2; i < argc; i++) {
        gchar *data;
        gsize size;
        int shown = 0;
        if (!g_file_get_contents(argv[i], &data, &size, NULL))
            return 2;
        show((guint8 *)data, size, (Wish){0}, argv[i]);
        for (int n = 0; n < count; n++) {
            static const int sides[] = {0, 1, 16, 64, 300, -1};
            gsize damaged_size = size;
            guint8 *damaged = damage((guint8 *)data, &damaged_size);
            shown += show(damaged, damaged_size, (Wish){sides[below(6)]}, NULL);
            g_free(damaged);
        }
        printf("%s: %d of %d damaged files shown\n", argv[i], shown, count);
        g_free(data);
    }
    g_rand_free(dice);
    return 0;
}
