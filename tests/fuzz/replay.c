/* SPDX-License-Identifier: MIT */

/*
 * Feeds each file of the corpora named as arguments to the target this is linked with, so that
 * what fuzzing once found stays found in builds without libFuzzer. Each input is in a buffer of
 * its own size, so that AddressSanitizer sees a read past its end.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"

#define INPUT_MAX (1U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int replay(int dir_fd, const char *name) {
        cleanup_free char *text = NULL;
        cleanup_free uint8_t *data = NULL;
        size_t n;
        int r;

        r = file_read(dir_fd, name, INPUT_MAX, &text, &n);
        if (r < 0)
                return r;
        data = malloc(n ? n : 1);
        if (!data)
                return -ENOMEM;
        memcpy(data, text, n);
        printf("%s: %zu bytes\n", name, n);
        fflush(stdout);
        LLVMFuzzerTestOneInput(data, n);
        return 0;
}

static int replay_corpus(const char *path) {
        DIR *directory = opendir(path);
        struct dirent *entry;
        size_t n = 0;
        int r = 0;

        if (!directory)
                return -errno;
        while (r == 0 && (entry = readdir(directory)))
                if (entry->d_name[0] != '.') {
                        r = replay(dirfd(directory), entry->d_name);
                        n++;
                }
        closedir(directory);
        return r < 0 ? r : n > 0 ? 0 : -ENODATA;
}

int main(int argc, char *argv[]) {
        for (int i = 1; i < argc; i++) {
                int r = replay_corpus(argv[i]);

                if (r < 0) {
                        fprintf(stderr, "%s: %s\n", argv[i], strerror(-r));
                        return EXIT_FAILURE;
                }
        }
        return argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
