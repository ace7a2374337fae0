/* A disk that fails now and then, for a server that this is preloaded into.

   FAILING_DISK="PATH FREE EVERY BURST TIMES": of all reads and writes of the file PATH and of the log PATH-wal the first FREE
   succeed; from then on the last BURST of each EVERY fail, so many TIMES: there is no space, or no answer. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char path[PATH_MAX];
static long free_calls, every, burst, times;
static atomic_long calls;

__attribute__((constructor)) static void configure(void) {
    const char *plan = getenv("FAILING_DISK");
    if (plan == NULL || sscanf(plan, "%4095s %ld %ld %ld %ld", path, &free_calls, &every, &burst, &times) != 5) {
        path[0] = '\0';
    }
}

static bool is_database(int file) {
    char link[32], name[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (length < 0 || path[0] == '\0') {
        return false;
    }
    name[length] = '\0';
    size_t stem = strlen(path);
    return strncmp(name, path, stem) == 0 && (name[stem] == '\0' || strcmp(name + stem, "-wal") == 0);
}

static bool fails(int file, int reason) {
    int before = errno;
    bool failing = is_database(file);
    if (failing) {
        long call = atomic_fetch_add(&calls, 1) - free_calls;
        failing = call >= 0 && call / every < times && call % every >= every - burst;
    }
    errno = failing ? reason : before;
    return failing;
}

/* Each of these is the function of libc, unless it fails. */
#define FAILING(result, name, reason, parameters, ...)                 \
    result name parameters {                                           \
        static result(*real) parameters;                               \
        if (real == NULL) {                                            \
            real = (result(*) parameters)dlsym(RTLD_NEXT, #name);      \
        }                                                              \
        return fails(file, reason) ? -1 : real(__VA_ARGS__);           \
    }

FAILING(ssize_t, pread, EIO, (int file, void *into, size_t size, off_t at), file, into, size, at)
FAILING(ssize_t, pread64, EIO, (int file, void *into, size_t size, off64_t at), file, into, size, at)
FAILING(ssize_t, pwrite, ENOSPC, (int file, const void *from, size_t size, off_t at), file, from, size, at)
FAILING(ssize_t, pwrite64, ENOSPC, (int file, const void *from, size_t size, off64_t at), file, from, size, at)
FAILING(int, ftruncate, ENOSPC, (int file, off_t size), file, size)
FAILING(int, ftruncate64, ENOSPC, (int file, off64_t size), file, size)
FAILING(int, fsync, EIO, (int file), file)
FAILING(int, fdatasync, EIO, (int file), file)
