// LD_PRELOAD: the Nth call of a kind on files under a folder fails. FAIL_KIND is write, sync, rename, create, reserve, map or
// mkdir, or memory or thread, which are counted from when the first file under the folder is opened; FAIL_AT is N, from 1; FAIL_WITH the errno (0: half of the bytes are written); FAIL_ALWAYS: all that follow fail, too;
// FAIL_UNDER the folder; FAIL_HIT a file that is made when it comes to that.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls;
static atomic_int begun;

static int under(const char* path) {
  const char* folder = getenv("FAIL_UNDER");
  return folder && path && (path[0] != '/' || strncmp(path, folder, strlen(folder)) == 0);  // relative: the test's own folder
}

static int under_fd(int fd) {
  char link[40], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0 || path[0] != '/') return 0;
  path[n] = 0;
  return under(path);
}

static int fails(const char* kind) {
  const char* wanted = getenv("FAIL_KIND");
  if (!wanted || strcmp(wanted, kind) != 0) return 0;
  const long at = atol(getenv("FAIL_AT")), now = atomic_fetch_add(&calls, 1) + 1;
  if (now != at && !(getenv("FAIL_ALWAYS") && now > at)) return 0;
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, getenv("FAIL_HIT"), O_CREAT | O_WRONLY, 0666);
  syscall(SYS_close, fd);
  errno = atoi(getenv("FAIL_WITH"));
  return 1;
}

// Memory and threads: of the program's own work, not of its loading.
static int no_memory(void) { return atomic_load(&begun) && fails("memory"); }
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void*, size_t);
void* malloc(size_t size) { return no_memory() ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return no_memory() ? NULL : __libc_calloc(count, size); }
void* realloc(void* memory, size_t size) { return no_memory() ? NULL : __libc_realloc(memory, size); }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITE(name, arguments, values, fd, size, half)      \
  ssize_t name arguments {                                  \
    if (under_fd(fd) && fails("write")) {                   \
      if (errno != 0 || (size) < 2) return errno = errno ? errno : EIO, -1; \
      return half;                                          \
    }                                                       \
    return REAL(name) values;                               \
  }
WRITE(write, (int fd, const void* data, size_t size), (fd, data, size), fd, size, REAL(write)(fd, data, size / 2))
WRITE(pwrite, (int fd, const void* data, size_t size, off_t at), (fd, data, size, at), fd, size, REAL(pwrite)(fd, data, size / 2, at))
WRITE(pwrite64, (int fd, const void* data, size_t size, off64_t at), (fd, data, size, at), fd, size, REAL(pwrite64)(fd, data, size / 2, at))
WRITE(writev, (int fd, const struct iovec* parts, int count), (fd, parts, count), fd, parts[0].iov_len,
      REAL(write)(fd, parts[0].iov_base, parts[0].iov_len / 2))

size_t fwrite(const void* data, size_t size, size_t count, FILE* file) {
  if (under_fd(fileno(file)) && fails("write")) return 0;
  return REAL(fwrite)(data, size, count, file);
}
int fflush(FILE* file) {
  if (file && under_fd(fileno(file)) && fails("write")) return EOF;
  return REAL(fflush)(file);
}
int fsync(int fd) { return under_fd(fd) && fails("sync") ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return under_fd(fd) && fails("sync") ? -1 : REAL(fdatasync)(fd); }
int rename(const char* from, const char* to) { return under(to) && fails("rename") ? -1 : REAL(rename)(from, to); }
int mkdir(const char* path, mode_t mode) { return under(path) && fails("mkdir") ? -1 : REAL(mkdir)(path, mode); }
int ftruncate(int fd, off_t size) { return under_fd(fd) && fails("reserve") ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return under_fd(fd) && fails("reserve") ? -1 : REAL(ftruncate64)(fd, size); }
int posix_fallocate(int fd, off_t at, off_t size) {  // gives its error instead of setting it
  return under_fd(fd) && fails("reserve") ? errno : REAL(posix_fallocate)(fd, at, size);
}
int posix_fallocate64(int fd, off64_t at, off64_t size) {
  return under_fd(fd) && fails("reserve") ? errno : REAL(posix_fallocate64)(fd, at, size);
}

#define MAP(name, offset)                                                                         \
  void* name(void* address, size_t size, int protection, int flags, int fd, offset at) {          \
    if (fd >= 0 && (flags & MAP_SHARED) && under_fd(fd) && fails("map")) return MAP_FAILED;       \
    return REAL(name)(address, size, protection, flags, fd, at);                                  \
  }
MAP(mmap, off_t)
MAP(mmap64, off64_t)

static const char* other(const char* path) {
  const char* mounts = getenv("MOUNTS");
  return mounts && strcmp(path, "/proc/self/mountinfo") == 0 ? mounts : path;
}

#define OPEN(name)                                                          \
  int name(const char* path, int flags, ...) {                              \
    va_list more;                                                           \
    va_start(more, flags);                                                  \
    const int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0; \
    va_end(more);                                                           \
    if (under(path)) atomic_store(&begun, 1);                               \
    if ((flags & O_CREAT) && under(path) && fails("create")) return -1;     \
    return REAL(name)(other(path), flags, mode);                            \
  }
OPEN(open)
OPEN(open64)

#define FOPEN(name)                                                                       \
  FILE* name(const char* path, const char* mode) {                                        \
    return mode[0] != 'r' && under(path) && fails("create") ? NULL : REAL(name)(other(path), mode); \
  }
FOPEN(fopen)
FOPEN(fopen64)

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*), void* argument) {
  return atomic_load(&begun) && fails("thread") ? EAGAIN : REAL(pthread_create)(thread, attributes, body, argument);
}

// A clock that goes back an hour after the CLOCK_BACK-th question, and a list of mounts of one's own (MOUNTS is a file).
static atomic_long questions;

int clock_gettime(clockid_t clock, struct timespec* now) {
  const int result = (int)syscall(SYS_clock_gettime, clock, now);
  const char* back = clock == CLOCK_REALTIME ? getenv("CLOCK_BACK") : NULL;
  if (back && atomic_fetch_add(&questions, 1) >= atol(back)) now->tv_sec -= 3600;
  return result;
}
