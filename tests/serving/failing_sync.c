/* Fails fdatasync or pwrite on files of a journal: from the N-th call on, FAIL_CALL=fdatasync:3.
   Before each call that succeeds nothing is changed; a call that fails touches nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int calls;

static int fails(const char *name, int fd) {
    const char *asked = getenv("FAIL_CALL");
    size_t length = strlen(name);
    if (!asked || strncmp(asked, name, length) || asked[length] != ':') return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    if (!strstr(path, "/journal/") || !strstr(path, ".twj")) return 0;
    if (atomic_fetch_add(&calls, 1) + 1 < atoi(asked + length + 1)) return 0;
    errno = EIO;
    return 1;
}

int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    return fails("fdatasync", fd) ? -1 : real(fd);
}

ssize_t pwrite64(int fd, const void *content, size_t size, off_t at) {
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite64");
    return fails("pwrite", fd) ? -1 : real(fd, content, size, at);
}

ssize_t pwrite(int fd, const void *content, size_t size, off_t at) {
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    return fails("pwrite", fd) ? -1 : real(fd, content, size, at);
}
