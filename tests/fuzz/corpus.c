/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz harness over the files of a folder: corpora as tests, with any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run(const char *dir, const char *name)
{
        char path[4096];
        uint8_t *data;
        size_t size;
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        f = fopen(path, "rb");
        if (!f) {
                perror(path);
                return 1;
        }
        fseek(f, 0, SEEK_END);
        size = (size_t)ftell(f);
        rewind(f);
        data = malloc(size ? size : 1); /* exactly as large as the input: an over-read is seen */
        if (!data || fread(data, 1, size, f) != size) {
                perror(path);
                return 1;
        }
        fclose(f);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
        return 0;
}

int main(int argc, char **argv)
{
        struct dirent *entry;
        int n = 0;
        DIR *dir;

        if (argc != 2 || !(dir = opendir(argv[1]))) {
                fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
                return 2;
        }
        while ((entry = readdir(dir)))
                if (entry->d_name[0] != '.') {
                        if (run(argv[1], entry->d_name))
                                return 1;
                        n++;
                }
        closedir(dir);
        printf("%d inputs\n", n);
        return n > 0 ? 0 : 1; /* a corpus that is empty tests nothing */
}
