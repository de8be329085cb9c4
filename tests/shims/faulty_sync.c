/* fsync and fdatasync that fail on demand, for files below one folder. Loaded with LD_PRELOAD; see sync.py beside this.
 *
 * FAULTY_SYNC_FOLDER   the folder, as the kernel names it (no symbolic links)
 * FAULTY_SYNC_CONTROL  while this file is there, calls fail with the error number that it holds; each failure adds a byte to
 *                      the file of this name with ".failed" behind it
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The error to fail with, or 0. */
static int fault(int descriptor)
{
    const char *folder = getenv("FAULTY_SYNC_FOLDER"), *control = getenv("FAULTY_SYNC_CONTROL");
    char link[64], path[PATH_MAX], text[16] = "", mark[PATH_MAX];
    int saved = errno, error = 0, file;
    ssize_t size;

    if (!folder || !control || (file = open(control, O_RDONLY | O_CLOEXEC)) < 0) {
        errno = saved;
        return 0;
    }
    if (read(file, text, sizeof text - 1) > 0)
        error = atoi(text);
    close(file);
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    size = readlink(link, path, sizeof path - 1);
    path[size > 0 ? size : 0] = 0;
    if (strncmp(path, folder, strlen(folder)) != 0 || path[strlen(folder)] != '/')
        error = 0;
    if (error) {
        snprintf(mark, sizeof mark, "%s.failed", control);
        file = open(mark, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (file >= 0) {
            if (write(file, ".", 1) < 0)
                error = EIO;
            close(file);
        }
    }
    errno = saved;
    return error;
}

static int call(const char *name, int descriptor)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int error = fault(descriptor);

    if (error) {
        errno = error;
        return -1;
    }
    return real(descriptor);
}

int fsync(int descriptor)
{
    return call("fsync", descriptor);
}

int fdatasync(int descriptor)
{
    return call("fdatasync", descriptor);
}
