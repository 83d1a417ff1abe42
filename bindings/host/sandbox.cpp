#include "sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "host_error.h"

namespace gradus {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw HostError(kIo, "--sandbox: " + what + "; expected Linux 5.13 or newer with Landlock and seccomp; got " +
                           std::strerror(errno));
}

// --- files

// Rights that newer kernels know and Debian's header does not, with the version that brought them.
constexpr std::uint64_t kTruncate = std::uint64_t{1} << 14, kDeviceIoctl = std::uint64_t{1} << 15;
constexpr std::uint64_t kScopes = 3;  // no abstract sockets of others, no signals to others
constexpr std::uint64_t kReads = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWrites = kReads | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                  LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                  LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | kTruncate;
constexpr std::uint64_t kOfFiles = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;

struct Ruleset {  // struct landlock_ruleset_attr, as of version 6
  std::uint64_t files = 0, network = 0, scoped = 0;
};

std::uint64_t known_rights(int version) {
  std::uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;  // version 1
  if (version >= 2) rights |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= 3) rights |= kTruncate;
  if (version >= 5) rights |= kDeviceIoctl;
  return rights;
}

void allow(int ruleset, const std::string& path, std::uint64_t rights) {
  const int fd = open(path.c_str(), O_PATH | O_CLOEXEC);
  struct stat status {};
  if (fd < 0 || fstat(fd, &status) != 0) return;
  if (!S_ISDIR(status.st_mode)) rights &= kOfFiles;
  const landlock_path_beneath_attr rule = {rights, fd};
  const long failed = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
  close(fd);
  if (failed) fail("the rule for '" + path + "' was not taken");
}

void restrict_files(const SandboxRules& rules) {
  const auto version =
      static_cast<int>(syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  if (version < 1) fail("the kernel has no Landlock");
  const std::uint64_t known = known_rights(version);
  Ruleset handled{known, version >= 4 ? std::uint64_t{3} : 0, version >= 6 ? kScopes : 0};
  const std::size_t size = version >= 6 ? sizeof handled : version >= 4 ? 16 : 8;
  const auto ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &handled, size, 0));
  if (ruleset < 0) fail("no Landlock ruleset");
  for (const char* path :
       {"/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom",
        "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system", "/sys/fs/cgroup"})
    allow(ruleset, path, kReads & known);
  allow(ruleset, "/dev/null", (kReads | LANDLOCK_ACCESS_FS_WRITE_FILE) & known);
  for (const std::string& path : rules.read) allow(ruleset, path, kReads & known);
  for (const std::string& path : rules.write) allow(ruleset, path, kWrites & known);
  const long failed = syscall(SYS_landlock_restrict_self, ruleset, 0);
  close(ruleset);
  if (failed) fail("Landlock refused");
}

// --- system calls

// What no script needs: other programs and processes, the network, the machine's settings, and changes to files that
// Landlock does not look at (modes, owners, times).
// clang-format off
constexpr const char* kDenied[] = {
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "process_madvise", "kcmp", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "tkill", "rt_sigqueueinfo",
    "rt_tgsigqueueinfo", "unshare", "setns", "chroot", "pivot_root", "mount", "umount2", "move_mount", "open_tree",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "bpf", "perf_event_open", "kexec_load",
    "kexec_file_load", "init_module", "finit_module", "delete_module", "add_key", "request_key", "keyctl",
    "userfaultfd", "acct", "swapon", "swapoff", "reboot", "sethostname", "setdomainname", "iopl", "ioperm",
    "modify_ldt", "quotactl", "quotactl_fd", "syslog", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime",
    "open_by_handle_at", "name_to_handle_at", "vhangup", "mknod", "mknodat", "fanotify_init", "memfd_create",
    "memfd_secret", "shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd",
    "msgrcv", "msgctl", "mq_open", "mq_unlink", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown",
    "fchownat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "setxattrat",
    "removexattrat", "utime", "utimes", "utimensat", "futimesat", "truncate", "setuid", "setgid", "setreuid",
    "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid", "capset"};
// clang-format on

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ALLOW), seccomp_release) {
    if (!context_) fail("no seccomp filter");
    // Calls by another table than this machine's own: refused, as where there is no such table.
    seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
  }
  template <typename... Conditions>
  void deny(const char* name, int error, Conditions... conditions) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR) return;  // newer than the library: so are programs that would use it
    const int failed = seccomp_rule_add(context_.get(), SCMP_ACT_ERRNO(static_cast<unsigned>(error)), call,
                                        sizeof...(conditions), conditions...);
    if (failed) errno = -failed, fail(std::string("the rule for ") + name + " was not taken");
  }
  void load() {
    const int failed = seccomp_load(context_.get());
    if (failed) errno = -failed, fail("seccomp refused");
  }

 private:
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
};

void restrict_calls() {
  Filter filter;
  for (const char* name : kDenied) filter.deny(name, EPERM);
  const auto self = static_cast<scmp_datum_t>(getpid());
  filter.deny("clone", EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
  filter.deny("clone3", ENOSYS);  // its flags cannot be looked at: the C library then takes clone
  filter.deny("kill", EPERM, SCMP_A0(SCMP_CMP_NE, self));
  filter.deny("tgkill", EPERM, SCMP_A0(SCMP_CMP_NE, self));
  filter.deny("setpriority", EPERM, SCMP_A1(SCMP_CMP_NE, 0));
  filter.deny("prlimit64", EPERM, SCMP_A0(SCMP_CMP_NE, 0));
  filter.deny("ioctl", EPERM, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI));
  filter.deny("ioctl", EPERM, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, 0x541C));  // TIOCLINUX
  // Old kernels let a file that is opened for reading be cut short.
  filter.deny("open", EACCES, SCMP_A1(SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, O_TRUNC));
  filter.deny("openat", EACCES, SCMP_A2(SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, O_TRUNC));
  filter.deny("openat2", ENOSYS);
  filter.load();
}

// --- memory and time

void limit(int resource, rlim_t soft, rlim_t hard) {
  rlimit now{};
  getrlimit(static_cast<__rlimit_resource_t>(resource), &now);
  const rlimit wanted = {std::min(soft, now.rlim_max), std::min(hard, now.rlim_max)};
  if (setrlimit(static_cast<__rlimit_resource_t>(resource), &wanted) != 0) fail("a limit was not taken");
}

}  // namespace

void enter_sandbox(const SandboxRules& rules) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("no_new_privs");
  const auto memory = static_cast<rlim_t>(rules.memory_bytes);
  limit(RLIMIT_DATA, memory, memory);
  limit(RLIMIT_AS, 2 * memory + (rlim_t{8} << 30),
        2 * memory + (rlim_t{8} << 30));  // what is shared or only reserved counts here
  limit(RLIMIT_CORE, 0, 0);
  if (rules.cpu_seconds > 0)
    limit(RLIMIT_CPU, static_cast<rlim_t>(rules.cpu_seconds), static_cast<rlim_t>(rules.cpu_seconds) + 30);
  restrict_files(rules);
  restrict_calls();
}

}  // namespace gradus
