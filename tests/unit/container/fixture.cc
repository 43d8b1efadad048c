/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace fs = std::filesystem;

static int64_t skew, clock_skew;

extern "C" {
int64_t __real_cosmos__now(void);
int64_t __real_cosmos__boottime(void);
int64_t __wrap_cosmos__now(void);
int64_t __wrap_cosmos__boottime(void);

int64_t __wrap_cosmos__now(void)
{
        return __real_cosmos__now() + skew + clock_skew;
}

int64_t __wrap_cosmos__boottime(void)
{
        return __real_cosmos__boottime() + skew;
}
}

void pass_ns(int64_t ns)
{
        skew += ns;
}

void set_clock_ns(int64_t ns)
{
        clock_skew += ns;
}

int64_t now_ns()
{
        return __wrap_cosmos__now();
}

int64_t boot_ns()
{
        return __wrap_cosmos__boottime();
}

std::string make_id(char digit)
{
        return std::string(64, digit);
}

std::string make_id(unsigned int number)
{
        char text[65];

        snprintf(text, sizeof(text), "%08x%056x", number, 0);
        return text;
}

std::string docker_cgroup(const std::string &id)
{
        return "0::/docker/" + id + "\n";
}

Tree::Tree()
{
        char shm[] = "/dev/shm/cosmos-container-XXXXXX", tmp[] = "/tmp/cosmos-container-XXXXXX";
        const char *path = mkdtemp(shm); /* thousands of small files */

        if (!path)
                path = mkdtemp(tmp);
        if (!path)
                abort();
        root = path;
        proc_root = root + "/proc";
        cgroup_root = root + "/cgroup";
        docker_root = root + "/docker";
        fs::create_directories(proc_root);
        fs::create_directories(cgroup_root);
        fs::create_directories(docker_root);
}

Tree::~Tree()
{
        fs::remove_all(root);
}

void Tree::write(const std::string &path, const std::string &text)
{
        fs::create_directories(fs::path(path).parent_path());
        std::ofstream(path, std::ios::binary) << text;
}

void Tree::remove(const std::string &path)
{
        fs::remove_all(path);
}

uint64_t Tree::put(int32_t pid, const Proc &proc)
{
        std::string dir = proc_root + "/" + std::to_string(pid);
        int64_t hz = sysconf(_SC_CLK_TCK);
        int64_t ticks = (boot_ns() - (int64_t)(proc.age * 1e9)) / (1000000000 / hz);
        uint64_t start = proc.start ? proc.start : (uint64_t)(ticks > 1 ? ticks : 1);
        std::string args;

        if (fs::exists(dir))
                fs::remove_all(dir);
        write(dir + "/stat", std::to_string(pid) + " (" + proc.comm + ") S " + std::to_string(proc.ppid) +
                                 " 1 1 0 -1 " + std::to_string(proc.flags) + " 0 0 0 0 0 0 0 0 20 0 1 0 " +
                                 std::to_string(start) + " 4096 1 18446744073709551615\n");
        write(dir + "/cgroup", proc.cgroup);
        for (const auto &arg : proc.cmdline)
                args += arg + std::string(1, 0);
        if (!args.empty())
                write(dir + "/cmdline", args);
        if (!proc.mounts.empty()) {
                fs::create_directories(dir + "/ns");
                fs::create_symlink("mnt:[" + proc.mounts + "]", dir + "/ns/mnt");
        }
        if (proc.switches)
                switches(pid, proc.switches);
        return start;
}

void Tree::switches(int32_t pid, uint64_t n, int threads)
{
        std::string task = proc_root + "/" + std::to_string(pid) + "/task";

        fs::remove_all(task);
        for (int i = 0; i < threads; i++)
                write(task + "/" + std::to_string(pid + i) + "/status",
                      "Name:\tapp\nnonvoluntary_ctxt_switches:\t999999\nvoluntary_ctxt_switches:\t" +
                          std::to_string(n) + "\nnonvoluntary_ctxt_switches:\t777777\n");
}

void Tree::end(int32_t pid)
{
        fs::remove_all(proc_root + "/" + std::to_string(pid));
}

void Tree::cgroup(const std::string &path)
{
        fs::create_directories(cgroup_root + path);
}

void Tree::cgroup_end(const std::string &path)
{
        fs::remove_all(cgroup_root + path);
}

void Tree::docker(const std::string &id, const std::string &name, const std::string &image)
{
        write(docker_root + "/containers/" + id + "/config.v2.json",
              "{\"ID\":\"" + id + "\",\"Name\":\"/" + name + "\",\"Config\":{\"Image\":\"" + image +
                  "\",\"Hostname\":\"x\"},\"State\":{\"Running\":true}}");
}

static void take_line(void *userdata, cosmos_log_level level, const char *text)
{
        static_cast<std::vector<std::string> *>(userdata)->push_back(
            (level == COSMOS_LOG_WARNING ? "warning: " : "info: ") + std::string(text));
}

ResolverTest::~ResolverTest()
{
        cosmos_resolver_free(resolver);
}

cosmos_resolver_options ResolverTest::options()
{
        cosmos_resolver_options o = {};

        o.size = sizeof(o);
        o.log.line = take_line;
        o.log.userdata = &log;
        o.live = 1;
        o.proc_root = tree.proc_root.c_str();
        o.cgroup_root = tree.cgroup_root.c_str();
        o.docker_root = discover ? nullptr : tree.docker_root.c_str();
        o.select = select.empty() ? nullptr : select.data();
        o.n_select = select.size();
        o.detect_unaudited = detect;
        return o;
}

void ResolverTest::open(const cosmos_resolver_options &o)
{
        resolver = cosmos_resolver_free(resolver);
        ASSERT_EQ(cosmos_resolver_new(&resolver, &o, &diag), 0) << diag.text;
}

void ResolverTest::open()
{
        open(options());
}

std::vector<Out> ResolverTest::drain()
{
        const cosmos_event *event;
        std::vector<Out> out;
        int r;

        while ((r = cosmos_resolver_next(resolver, &event)) == 1)
                out.push_back({*event, event->container_id ? event->container_id : "",
                               event->container_name ? event->container_name : "", event->image ? event->image : ""});
        EXPECT_EQ(r, 0);
        return out;
}

std::vector<Out> ResolverTest::feed(const cosmos_event &event)
{
        EXPECT_EQ(cosmos_resolver_feed(resolver, &event, &diag), 0) << diag.text;
        return drain();
}

std::vector<Out> ResolverTest::tick(double seconds)
{
        pass_ns((int64_t)(seconds * 1e9));
        EXPECT_EQ(cosmos_resolver_feed(resolver, nullptr, &diag), 0) << diag.text;
        return drain();
}

static cosmos_event make_call(int32_t pid, int32_t ppid, const char *comm, double age)
{
        cosmos_event e = {};

        e.type = COSMOS_EVENT_CALL;
        e.pid = pid;
        e.ppid = ppid;
        e.known = COSMOS_KNOWN_PID | COSMOS_KNOWN_RET | (ppid ? COSMOS_KNOWN_PPID : 0);
        e.comm = comm;
        e.syscall = "getppid";
        e.timestamp = now_ns() - (int64_t)(age * 1e9);
        e.timestamp_digits = 3;
        return e;
}

std::vector<Out> ResolverTest::call(int32_t pid, int32_t ppid, const char *comm, double age)
{
        return feed(make_call(pid, ppid, comm, age));
}

std::vector<Out> ResolverTest::exec(int32_t pid, int32_t ppid, const char *comm, const char *exe, double age)
{
        cosmos_event e = make_call(pid, ppid, comm, age);

        e.syscall = "execve";
        e.exe = exe;
        return feed(e);
}

std::vector<Out> ResolverTest::exec_as(uint32_t uid, int32_t pid, int32_t ppid, const char *exe,
                                       const std::string &argv)
{
        cosmos_event e = make_call(pid, ppid, "old", 0);

        e.syscall = "execve";
        e.exe = exe;
        e.argv = argv.c_str();
        e.uid = uid;
        e.known |= COSMOS_KNOWN_UID;
        return feed(e);
}

std::string ResolverTest::in(const std::vector<Out> &out)
{
        return out.empty() ? "" : out.back().id;
}
