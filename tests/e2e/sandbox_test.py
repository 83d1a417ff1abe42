"""`gradus run --sandbox`: what a script tries with all of C at hand (--allow-ffi), each attempt stopped by the kernel."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())

# try(name, number or nil): an attempt that reached what it wanted (a number of at least 0) is printed.
PRELUDE = r"""
local ffi = require "ffi"
ffi.cdef [[
  int open(const char *, int, ...); long read(int, void *, size_t); long write(int, const void *, size_t); int close(int);
  int socket(int, int, int); int socketpair(int, int, int, int *); int connect(int, const void *, unsigned); long syscall(long, long, long, long, long, long, long);
  int fork(void); int vfork(void); int execve(const char *, char *const *, char *const *); int system(const char *);
  int kill(int, int); int getpid(void); int getppid(void); int ptrace(int, int, void *, void *);
  int unlink(const char *); int rename(const char *, const char *); int link(const char *, const char *); int symlink(const char *, const char *);
  int mkdir(const char *, int); int rmdir(const char *); int chmod(const char *, int); int chown(const char *, int, int); int truncate(const char *, long);
  int mkfifo(const char *, int); int mknod(const char *, int, long); int mount(const char *, const char *, const char *, long, const void *);
  int unshare(int); int chroot(const char *); int chdir(const char *); int setpriority(int, int, int); int setuid(int);
  int sethostname(const char *, size_t); int reboot(int); int utimes(const char *, const void *); int setxattr(const char *, const char *, const void *, size_t, int);
  int ioctl(int, unsigned long, ...); int shmget(int, size_t, int); int msgget(int, int); int semget(int, int, int);
  int prctl(int, ...); void *mmap(void *, size_t, int, int, int, long); int creat(const char *, int); int memfd_create(const char *, int);
  int posix_spawn(int *, const char *, void *, void *, const char *const *, const char *const *); int bind(int, const void *, unsigned); char *getenv(const char *);
]]
local NOTHING = ffi.new("const char *[2]", { "true" })
-- A system call by its number; texts and arrays are given as their addresses.
local function call(number, ...)
  local words = { 0, 0, 0, 0, 0, 0 }
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    words[i] = type(value) == "number" and value or ffi.cast("long", ffi.cast("const void *", value))
  end
  return ffi.C.syscall(number, unpack(words))
end
local C, O = ffi.C, { W = 1, RW = 2, CREAT = 64, TRUNC = 512, DIR = 65536, PATH = 2097152 }
local OUT = "OUTSIDE"
local function try(name, result)
  result = tonumber(result)
  print(("%s %s"):format(result and result >= 0 and "ESCAPED" or "stopped", name))
end
local function file(name, ...) try(name, io.open(...) and 0 or -1) end
"""

ATTEMPTS = r"""
file("read a secret by io.open", OUT .. "/secret")
file("read a secret by way of ..", "../outside/secret")
file("read a secret through /proc/self/root", "/proc/self/root" .. OUT .. "/secret")
file("read a secret through /proc/self/cwd", "/proc/self/cwd/../outside/secret")
file("read a secret through a link in its folder", "link")
file("read /etc/passwd", "/etc/passwd")
file("read /etc/shadow", "/etc/shadow")
file("read another process's environment", "/proc/1/environ")
file("read its parent's memory", ("/proc/%d/mem"):format(C.getppid()))
file("read the home folder", (os.getenv "HOME" or "/root") .. "/.profile")
file("write outside", OUT .. "/new", "w")
file("overwrite outside", OUT .. "/secret", "r+")
file("append outside", OUT .. "/secret", "a")
file("write into the script's folder", "x.lua", "a")
file("write into /tmp", "/tmp/gradus-escape", "w")
file("write into /dev/shm", "/dev/shm/gradus-escape", "w")
file("write into /usr", "/usr/gradus-escape", "w")
file("write a system setting", "/proc/sys/kernel/core_pattern", "r+")
file("raise its own oom score", "/proc/self/oom_score_adj", "r+")
file("write into the cgroup", "/sys/fs/cgroup/cgroup.procs", "r+")
file("open a terminal", "/dev/tty", "r+")
file("open a disk", "/dev/vda", "r")
file("open the memory", "/dev/mem", "r")
try("open for writing in C", C.open(OUT .. "/secret", O.RW))
try("open for reading in C", C.open(OUT .. "/secret", 0))
try("cut by opening to read", C.open(OUT .. "/secret", O.TRUNC))
try("cut a readable file of its folder by opening to read", C.open("x.lua", O.TRUNC))
try("creat", C.creat(OUT .. "/new", 420))
try("openat2", call(437, -100, OUT .. "/secret", ffi.new "uint64_t[3]", 24))
try("list a folder", C.open(OUT, O.DIR))
try("truncate", C.truncate(OUT .. "/secret", 0))
try("unlink", C.unlink(OUT .. "/secret"))
try("unlink by os.remove", os.remove(OUT .. "/secret") and 0)
try("rename away", C.rename(OUT .. "/secret", STORE .. "/secret"))
try("rename there", C.rename(STORE .. "/s.db", OUT .. "/s.db"))
try("hard link here", C.link(OUT .. "/secret", STORE .. "/hard"))
try("hard link there", C.link(STORE .. "/s.db", OUT .. "/hard"))
try("symbolic link", C.symlink(OUT .. "/secret", STORE .. "/soft"))
try("mkdir", C.mkdir(OUT .. "/folder", 493))
try("rmdir", C.rmdir(OUT .. "/empty"))
try("mkfifo", C.mkfifo(OUT .. "/fifo", 420))
try("mknod", C.mknod(STORE .. "/disk", 24576 + 420, 2048))
try("chmod", C.chmod(OUT .. "/secret", 511))
try("chown", C.chown(OUT .. "/secret", 1, 1))
try("utimes", C.utimes(OUT .. "/secret", nil))
try("setxattr", C.setxattr(OUT .. "/secret", "user.a", "b", 1, 0))
try("TCP socket", C.socket(2, 1, 0))
try("UDP socket", C.socket(2, 2, 0))
try("UNIX socket", C.socket(1, 1, 0))
try("raw socket", C.socket(17, 3, 0))
try("netlink socket", C.socket(16, 3, 0))
try("socketpair", C.socketpair(1, 1, 0, ffi.new "int[2]"))
try("connect on a descriptor that it was given", C.connect(0, "\2\0\0\80\127\0\0\1\0\0\0\0\0\0\0\0", 16))
try("io_uring", call(425, 8, ffi.new "char[200]"))
try("fork", C.fork())
try("vfork by number", call(58))
try("clone without threads", call(56, 17, 0, 0, 0, 0))
try("clone3", call(435, ffi.new "uint64_t[11]", 88))
try("execve", C.execve("/bin/true", nil, nil))
try("execveat", call(322, -100, "/bin/true", nil, nil, 0))
try("os.execute", os.execute "true" == 0 and 0)
try("io.popen", (function() local p = io.popen "echo hi" local t = p and p:read "*a" return t == "hi\n" and 0 end)())
try("system", C.system "true" == 0 and 0)
try("posix_spawn", C.posix_spawn(ffi.new "int[1]", "/bin/true", nil, nil, NOTHING, NOTHING) == 0 and 0)
try("memfd to run", C.memfd_create("x", 0))
try("kill its parent", C.kill(C.getppid(), 0))
try("kill everybody", C.kill(-1, 0))
try("kill init", C.kill(1, 0))
try("tgkill", call(234, C.getppid(), C.getppid(), 0))
try("pidfd_open", call(434, C.getppid(), 0))
try("queue a signal", call(129, C.getppid(), 0, ffi.new "char[128]"))
try("ptrace", C.ptrace(16, C.getppid(), nil, nil))
try("read another's memory", call(310, C.getppid(), nil, 0, nil, 0, 0))
try("write another's memory", call(311, C.getppid(), nil, 0, nil, 0, 0))
try("lower another's priority", C.setpriority(0, C.getppid(), 5))
try("mount", C.mount("none", STORE, "tmpfs", 0, nil))
try("unshare users", C.unshare(0x10000000))
try("unshare mounts", C.unshare(0x20000))
try("chroot", C.chroot(STORE))
try("setuid", C.setuid(65534))
try("sethostname", C.sethostname("x", 1))
try("bpf", call(321, 0, ffi.new "char[128]", 128))
try("perf", call(298, ffi.new "char[128]", 0, -1, -1, 0))
try("userfaultfd", call(323, 0))
try("keys", call(250, 0, -3, 0))
try("add a key", call(248, "user", "a", "b", 1, -3))
try("shared memory of System V", C.shmget(0, 4096, 950))
try("messages of System V", C.msgget(0, 950))
try("semaphores of System V", C.semget(0, 1, 950))
try("type into the terminal", C.ioctl(0, 0x5412, ffi.cast("const char *", "x")))
try("type into the terminal, high bits set", C.ioctl(0, 0x100005412ULL, ffi.cast("const char *", "x")))
try("open by handle", call(304, -100, ffi.new "char[128]", 0))
try("take privileges again", call(157, 38, 0, 0, 0, 0))
try("32-bit calls are another table", call(0x40000000 + 2, OUT .. "/secret", 0))
"""

TRAINING = """local g = require "gradus"
return g.experiment { name = "inside", grid = { seed = { 1, 2 } }, run = function(run)
  local d = g.data.digits():split { train = .2, val = .1 }
  local teacher = run:cached("teacher", function(train) return g.fit { model = g.nn.MLP { 64, 16, 10 }, data = train, epochs = 1 } end, d.train)
  run:distill { teacher = teacher, student = g.nn.MLP { 64, 8, 10 }, data = d, budget = { epochs = 1 } }
  assert(require "helper" == 1 and io.open "data.txt":read "*a" == "mine")
  return { fine = 1 }
end }
"""


def has_landlock():
    import ctypes
    return ctypes.CDLL(None).syscall(444, None, 0, 1) >= 1


@unittest.skipUnless(has_landlock(), "this kernel has no Landlock")
class Sandbox(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        (self.dir / "work").mkdir()
        (self.dir / "outside/empty").mkdir(parents=True)
        (self.dir / "outside/secret").write_text("secret")
        os.symlink(self.dir / "outside/secret", self.dir / "work/link")

    def gradus(self, *args, code=0, **more):
        env = {k: v for k, v in os.environ.items() if k not in ("GRADUS_STORE", "GRADUS_DEVICE_LIBRARY")}
        env["GRADUS_GRACE"] = "1"
        done = subprocess.run([GRADUS, *map(str, args)], cwd=self.dir / "work", env=env, capture_output=True, timeout=120, text=True, **more)
        if code is not None:
            self.assertEqual(done.returncode, code, (done.stdout[-2000:], done.stderr[-2000:]))
        return done

    def script(self, text, *args, **more):
        (self.dir / "work/x.lua").write_text(text)
        return self.gradus("run", "x.lua", "--sandbox", *args, **more)

    def test_every_attempt_is_stopped_by_the_kernel_and_succeeds_without_it(self):
        head = PRELUDE.replace("OUTSIDE", str(self.dir / "outside")) + f'local STORE = "{self.dir}/work/runs/sandbox"\n'
        before = (self.dir / "outside/secret").stat()
        with open("/dev/null") as nothing:
            out = self.script(head + ATTEMPTS + 'print "done"', "--allow-ffi", stdin=nothing).stdout
        attempts = ATTEMPTS.count("\ntry(") + ATTEMPTS.count("\nfile(")
        self.assertEqual((out.count("stopped "), [line for line in out.splitlines() if line.startswith("ESCAPED")], out[-5:]),
                         (attempts, [], "done\n"))
        self.assertGreaterEqual(attempts, 60)
        after = (self.dir / "outside/secret").stat()
        self.assertEqual((before.st_mode, before.st_uid, before.st_mtime_ns, before.st_nlink),
                         (after.st_mode, after.st_uid, after.st_mtime_ns, after.st_nlink))
        self.assertEqual(sorted(p.name for p in (self.dir / "outside").iterdir()), ["empty", "secret"])
        # The same without --sandbox: the attempts that need no privilege are real.
        some = [line for line in ATTEMPTS.splitlines() if any(w in line for w in (
            '"read a secret by io.open"', '"read /etc/passwd"', '"TCP socket"', '"os.execute"', '"io.popen"', '"list a folder"', '"socketpair"',
            '"chmod"', '"utimes"', '"mkdir"', '"write into /dev/shm"', '"kill its parent"', '"pidfd_open"', '"shared memory of', '"memfd', '"openat2"',
            '"hard link', '"symbolic link"', '"append outside"', '"creat"', '"cut a readable'))]
        (self.dir / "work/x.lua").write_text(head + "\n".join(some).replace('"x.lua"', '"y.lua"'))
        (self.dir / "work/y.lua").write_text("y")
        (self.dir / "work/runs/sandbox").mkdir(parents=True, exist_ok=True)
        (self.dir / "work/runs/sandbox/s.db").write_text("")
        out = self.gradus("run", "x.lua", "--allow-ffi").stdout
        self.addCleanup(lambda: os.path.exists("/dev/shm/gradus-escape") and os.remove("/dev/shm/gradus-escape"))
        stopped = [line for line in out.splitlines() if line.startswith("stopped")]
        self.assertEqual(stopped, [])

    def test_an_experiment_runs_as_ever(self):
        (self.dir / "work/helper.lua").write_text("return 1")
        (self.dir / "work/data.txt").write_text("mine")
        self.script(TRAINING, "-q")
        rows = json.loads(self.gradus("sql", "--json", "SELECT status, seed FROM runs WHERE kind = 'run' ORDER BY seed", "--store",
                                      "runs/sandbox/gradus.db").stdout)
        self.assertEqual(rows, [{"status": "finished", "seed": 1}, {"status": "finished", "seed": 2}])
        self.assertFalse((self.dir / "work/runs/gradus.db").exists())

    def test_what_is_given_can_be_read_and_the_store_be_chosen(self):
        text = f'print(io.open "{self.dir}/outside/secret":read "*a", io.open("{self.dir}/outside/secret", "a"))'
        self.assertIn("secret\tnil", self.script(text, "--sandbox-read", self.dir / "outside").stdout)
        self.script(text, code=65)
        self.script(text, "--sandbox-read", self.dir / "nothing", code=66)
        (self.dir / "work/helper.lua").write_text("return 1")
        (self.dir / "work/data.txt").write_text("mine")
        self.script(TRAINING, "-q", "--store", "mine/s.db")
        self.assertTrue((self.dir / "work/mine/s.db").exists())

    def test_memory_and_time(self):
        done = self.script("local t = {} for i = 1, 1e5 do t[i] = ('x'):rep(1e6) .. i end print 'all'", "--sandbox-memory", 1, code=None)
        self.assertNotIn("all", done.stdout)
        self.assertNotEqual(done.returncode, 0)
        done = self.script("local g = require 'gradus' print(pcall(g.zeros, { 400, 1000, 1000 }))", "--sandbox-memory", 1)
        self.assertIn("false", done.stdout)
        done = self.script("print 'on' io.flush() while true do end", "--sandbox-time", 1, code=152)
        self.assertIn("on", done.stdout)

    def test_its_limits_are_those_that_were_asked_for(self):
        for args, data, space, cpu in (((), 8 << 30, 24 << 30, ("unlimited", "unlimited")),
                                       (("--sandbox-memory", 1, "--sandbox-time", 50), 1 << 30, 10 << 30, ("50", "80")),
                                       (("--sandbox-memory", 3), 3 << 30, 14 << 30, ("unlimited", "unlimited"))):
            lines = self.script('print(io.open "/proc/self/limits":read "*a")', *args).stdout.splitlines()
            limits = {line[:26].strip(): tuple(line[26:].split()[:2]) for line in lines if line.startswith("Max")}
            self.assertEqual(limits["Max data size"], (str(data),) * 2)
            self.assertEqual(limits["Max address space"], (str(space),) * 2)
            self.assertEqual(limits["Max core file size"], ("0", "0"))
            self.assertEqual(limits["Max cpu time"], cpu)
        self.assertNotIn("Max data size             8589934592", self.gradus("run", "-", input='print(io.open "/proc/self/limits":read "*a")').stdout)

    def test_usage(self):
        (self.dir / "work/x.lua").write_text("print 'x'")
        self.assertIn("--device cpu", self.gradus("run", "x.lua", "--sandbox", "--device", "cuda", code=64).stderr)
        self.assertIn("--jobs", self.gradus("run", "x.lua", "--sandbox", "-j", "2", code=64).stderr)
        self.gradus("run", "x.lua", "--sandbox", "--sandbox-memory", "0", code=64)
        self.assertIn("x", self.gradus("run", "-", "--sandbox", input="print 'x'").stdout)

    def test_nothing_of_it_without_the_flag(self):
        self.assertIn("0", self.gradus("run", "-", input="print(os.execute 'true')").stdout)


if __name__ == "__main__":
    unittest.main()
