/* SPDX-License-Identifier: Apache-2.0 */
/* What a model may be told of a call beyond its name: the classes of event.h. */
#include "base/base.h"
#include "syscall/syscall.h"

#include <cosmos/event.h>

#include <string.h>

COSMOS_API const char *cosmos_fd_kind_name(enum cosmos_fd_kind kind)
{
        static const char *const names[] = {"none", "file",      "directory", "socket",
                                            "pipe", "character", "block",     "other"};

        return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : NULL;
}

COSMOS_API const char *cosmos_path_class_name(enum cosmos_path_class path_class)
{
        static const char *const names[] = {"none", "relative", "etc", "proc", "sys", "dev",  "tmp",
                                            "run",  "lib",      "bin", "home", "var", "other"};

        return (size_t)path_class < ARRAY_SIZE(names) ? names[path_class] : NULL;
}

uint32_t cosmos__size_class(uint64_t bytes, uint32_t per_octave)
{
        /* Where the quarters of an octave begin, at 2^(1/4), 2^(1/2) and 2^(3/4): leading 32 bits, rounded up. */
        static const uint32_t quarters[] = {2553802834, 3037000500, 3611622603};
        uint32_t octave, leading, quarter = 0;

        if (bytes < 32)
                return bytes >= 8 ? 2 : bytes > 0;
        octave = 63 - (uint32_t)__builtin_clzll(bytes);
        leading = (uint32_t)(bytes << (63 - octave) >> 32);
        for (size_t i = 0; i < ARRAY_SIZE(quarters); i++)
                quarter += leading >= quarters[i];
        return 3 + per_octave * (octave - 5) + quarter * per_octave / 4;
}

COSMOS_API uint32_t cosmos_size_class(uint64_t bytes)
{
        return cosmos__size_class(bytes, 2);
}

COSMOS_API int cosmos_moves_bytes(const char *syscall)
{
        static const char *const names[] = {
            "read",
            "write",
            "pread64",
            "pwrite64",
            "readv",
            "writev",
            "preadv",
            "pwritev",
            "preadv2",
            "pwritev2",
            "sendto",
            "recvfrom",
            "sendmsg",
            "recvmsg",
            "send",
            "recv",
            "sendfile",
            "sendfile64",
            "splice",
            "tee",
            "vmsplice",
            "getdents",
            "copy_file_range",
            "process_vm_readv",
            "getdents64",
            "process_vm_writev",
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(syscall, names[i]) == 0)
                        return 1;
        return 0;
}

/* Is `path` the folder, or below it? */
static bool below(const char *path, const char *folder)
{
        size_t n = strlen(folder);

        return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == 0);
}

/* By its folder, or by its name: "NAME.so", "NAME.so.VERSION". */
static bool is_library(const char *path)
{
        const char *name = strrchr(path, '/');

        if (strncmp(path, "/lib", 4) == 0 || strncmp(path, "/usr/lib", 8) == 0)
                return true;
        for (const char *so = strstr(name, ".so"); so; so = strstr(so + 1, ".so"))
                if (so[3] == 0 || (so[3] == '.' && so[4] >= '0' && so[4] <= '9'))
                        return true;
        return false;
}

COSMOS_API enum cosmos_path_class cosmos_path_class_of(const char *path)
{
        static const struct {
                const char *folder;
                enum cosmos_path_class path_class;
        } folders[] = {
            {"/etc", COSMOS_PATH_ETC},      {"/proc", COSMOS_PATH_PROC},         {"/sys", COSMOS_PATH_SYS},
            {"/dev/shm", COSMOS_PATH_TMP},  {"/dev", COSMOS_PATH_DEV},           {"/tmp", COSMOS_PATH_TMP},
            {"/var/tmp", COSMOS_PATH_TMP},  {"/var/run", COSMOS_PATH_RUN},       {"/run", COSMOS_PATH_RUN},
            {"/bin", COSMOS_PATH_BIN},      {"/sbin", COSMOS_PATH_BIN},          {"/usr/bin", COSMOS_PATH_BIN},
            {"/usr/sbin", COSMOS_PATH_BIN}, {"/usr/local/bin", COSMOS_PATH_BIN}, {"/home", COSMOS_PATH_HOME},
            {"/root", COSMOS_PATH_HOME},    {"/var", COSMOS_PATH_VAR},
        };

        if (!path || !*path)
                return COSMOS_PATH_NONE;
        if (*path != '/')
                return COSMOS_PATH_RELATIVE;
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
                if (below(path, folders[i].folder))
                        return folders[i].path_class;
        return is_library(path) ? COSMOS_PATH_LIB : COSMOS_PATH_OTHER;
}
