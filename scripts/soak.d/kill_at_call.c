/* Ends a process by SIGKILL at its N-th system call that changes a file: preloaded into the program by
 * `scripts/soak`, so that a kill at the same count hits the same call again.
 *
 *   SOAK_KILL_AT=N                   the call to die at, from 1; 0 to die at none
 *   SOAK_KILL_HOW=before|torn|after  at which instant; a torn write ends at a page, where the kernel looks for signals
 *   SOAK_FULL_AT=N                   from this call on no write finds room on the disk
 *   SOAK_DELAY=MICROSECONDS          how long each call waits first, so that more batches are open at a time
 *   SOAK_COUNT=FILE                  where the number of calls is written to if the process comes to its end
 *
 * Only calls on regular files count: what is said on terminals and pipes changes nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum instant { BEFORE, TORN, AFTER };

static atomic_long calls;
static long kill_at, full_at;
static enum instant how;
static useconds_t delay;
static const char *count_file;

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name)) dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("SOAK_KILL_AT"), *instant = getenv("SOAK_KILL_HOW"), *wait = getenv("SOAK_DELAY");
    kill_at = at ? atol(at) : 0;
    const char *full = getenv("SOAK_FULL_AT");
    full_at = full ? atol(full) : 0;
    how = !instant || !strcmp(instant, "before") ? BEFORE : !strcmp(instant, "torn") ? TORN : AFTER;
    delay = wait ? (useconds_t) atol(wait) : 0;
    count_file = getenv("SOAK_COUNT");
}

__attribute__((destructor)) static void end(void)
{
    if (!count_file)
        return;
    FILE *file = fopen(count_file, "w");
    if (!file)
        return;
    fprintf(file, "%ld\n", atomic_load(&calls));
    fclose(file);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static int is_regular(int fd)
{
    struct stat status;
    int before = errno, regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    errno = before;
    return regular;
}

/* Whether this is the call to die at; if that is before it, there is no return. */
static int is_last(void)
{
    if (delay)
        usleep(delay);
    int last = atomic_fetch_add(&calls, 1) + 1 == kill_at;
    if (last && how == BEFORE)
        die();
    return last;
}

static int is_full(int fd)
{
    if (!full_at || atomic_load(&calls) < full_at || !is_regular(fd))
        return 0;
    errno = ENOSPC;
    return 1;
}

/* How much of a write the kernel does before it sees the signal: whole pages of the file. */
static size_t torn(size_t count, off_t offset)
{
    size_t first = 4096 - (size_t) (offset % 4096);
    return how != TORN || count <= first ? count : first + (count - first) / 2 / 4096 * 4096;
}

#define CHANGE(on_file, call) \
    int last = (on_file) && is_last(); \
    __auto_type result = call; \
    if (last) die(); \
    return result

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
    REAL(pwrite64);
    int last = is_regular(fd) && is_last();
    if (is_full(fd))
        return -1;
    ssize_t written = real(fd, bytes, last ? torn(count, offset) : count, offset);
    if (last)
        die();
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return pwrite64(fd, bytes, count, offset); }

ssize_t write(int fd, const void *bytes, size_t count)
{
    REAL(write);
    CHANGE(is_regular(fd), is_full(fd) ? -1 : real(fd, bytes, count));
}

static int is_longer(int fd, off64_t length)
{
    struct stat status;
    return fstat(fd, &status) == 0 && length > status.st_size;
}

int fdatasync(int fd) { REAL(fdatasync); CHANGE(is_regular(fd), real(fd)); }
int fsync(int fd) { REAL(fsync); CHANGE(is_regular(fd), real(fd)); }
int ftruncate64(int fd, off64_t length) { REAL(ftruncate64); CHANGE(is_regular(fd), is_longer(fd, length) && is_full(fd) ? -1 : real(fd, length)); }
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    REAL(fallocate64);
    CHANGE(is_regular(fd), !(mode & FALLOC_FL_PUNCH_HOLE) && is_full(fd) ? -1 : real(fd, mode, offset, length));
}

int fallocate(int fd, int mode, off_t offset, off_t length) { return fallocate64(fd, mode, offset, length); }
int link(const char *from, const char *to) { REAL(link); CHANGE(1, real(from, to)); }
int rename(const char *from, const char *to) { REAL(rename); CHANGE(1, real(from, to)); }
int unlink(const char *path) { REAL(unlink); CHANGE(1, real(path)); }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    REAL(linkat);
    CHANGE(1, real(from_folder, from, to_folder, to, flags));
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    REAL(renameat2);
    CHANGE(1, real(from_folder, from, to_folder, to, flags));
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    CHANGE(1, real(folder, path, flags));
}

static mode_t mode_of(int flags, va_list more)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;
}

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    CHANGE(flags & O_CREAT, real(path, flags, mode));
}

int open(const char *path, int flags, ...)
{
    REAL(open);
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    CHANGE(flags & O_CREAT, real(path, flags, mode));
}
