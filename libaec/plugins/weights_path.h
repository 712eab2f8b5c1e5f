/* Where plugins find weights, by id: ID.safetensors in one of the folders $AEC_WEIGHTS_PATH (with colons between them),
   $XDG_DATA_HOME/aecodec/weights, /usr/local/share/aecodec/weights and /usr/share/aecodec/weights.  "aecodec desktop install"
   makes the second one. */

#ifndef AEC_WEIGHTS_PATH_H
#define AEC_WEIGHTS_PATH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AEC_PATH_SIZE 4096

/* Writes the path of the weights of an id; false where there are none. */
static int aec_find_weights(const uint8_t id[4], char path[AEC_PATH_SIZE])
{
    const char *given = getenv("AEC_WEIGHTS_PATH"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char all[AEC_PATH_SIZE];
    int has_data = data && *data;
    if (snprintf(all, sizeof all, "%s:%s%s/aecodec/weights:/usr/local/share/aecodec/weights:/usr/share/aecodec/weights",
                 given ? given : "", has_data ? data : home ? home : "", has_data ? "" : "/.local/share") >= AEC_PATH_SIZE)
        return 0;
    for (const char *folder = all; *folder;) {
        int length = (int)strcspn(folder, ":");
        int written = snprintf(path, AEC_PATH_SIZE, "%.*s/%02x%02x%02x%02x.safetensors", length, folder, id[0], id[1], id[2],
                               id[3]);
        if (length && written < AEC_PATH_SIZE && !access(path, R_OK))
            return 1;
        folder += length + (folder[length] == ':');
    }
    return 0;
}

#endif
