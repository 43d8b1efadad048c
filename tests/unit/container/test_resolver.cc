/* SPDX-License-Identifier: Apache-2.0 */
/* Starts and stops, names, selection, limits, unaudited processes; the replay. */
#include "fixture.h"

extern "C" {
#include "container/resolver.h"
}

#include <cerrno>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const std::string A = make_id('a'), B = make_id('b');

class StartStopTest : public ResolverTest
{
      protected:
        Proc member(const std::string &id, int32_t ppid = 20)
        {
                Proc p;

                p.ppid = ppid;
                p.cgroup = docker_cgroup(id);
                return p;
        }

        size_t processes()
        {
                return resolver->table.processes.n;
        }

        size_t containers()
        {
                return resolver->table.containers.n;
        }
};

TEST_F(StartStopTest, StopsWhenItsCgroupIsGone)
{
        open();
        tree.docker(A, "db", "mariadb:11");
        tree.cgroup("/docker/" + A);
        tree.put(100, member(A));
        tree.put(101, member(A, 100));
        call(100, 20);
        call(101, 100);
        EXPECT_EQ(processes(), 2u);
        tree.end(100);
        tree.end(101);
        EXPECT_TRUE(tick().empty());
        EXPECT_TRUE(tick().empty()) << "no process, but its cgroup is there";
        tree.cgroup_end("/docker/" + A);
        EXPECT_TRUE(tick().empty()) << "seen gone once";
        EXPECT_TRUE(tick(0.1).empty()) << "too soon after the last tick to count";
        EXPECT_EQ(in(call(100, 1)), A) << "a late event";
        auto out = tick();
        ASSERT_EQ(out.size(), 1u);
        EXPECT_EQ(out[0].event.type, COSMOS_EVENT_CONTAINER_STOP);
        EXPECT_EQ(out[0].id, A);
        EXPECT_EQ(out[0].name, "db");
        EXPECT_EQ(out[0].image, "mariadb:11");
        EXPECT_EQ(out[0].event.timestamp_digits, 9u);
        EXPECT_EQ(processes(), 0u) << "what belonged to it is freed";
        EXPECT_EQ(containers(), 0u);
        EXPECT_EQ(cosmos_resolver_count(resolver), 0u);
        EXPECT_TRUE(tick().empty());
        EXPECT_TRUE(cosmos__list_empty(&resolver->table.removed));
        EXPECT_TRUE(call(100, 1).empty());
}

TEST_F(StartStopTest, ComesBackBetweenTicks)
{
        open();
        tree.cgroup("/docker/" + A);
        tree.put(100, member(A));
        call(100, 20);
        tree.cgroup_end("/docker/" + A);
        EXPECT_TRUE(tick().empty());
        tree.cgroup("/docker/" + A);
        EXPECT_TRUE(tick().empty());
        tree.cgroup_end("/docker/" + A);
        EXPECT_TRUE(tick().empty()) << "counted from anew";
        EXPECT_EQ(tick().size(), 1u);
}

TEST_F(StartStopTest, StartsAgain)
{
        open();
        for (int i = 0; i < 3; i++) {
                tree.cgroup("/docker/" + A);
                tree.put(100, member(A));
                auto out = call(100, 20);
                ASSERT_EQ(out.size(), 2u);
                EXPECT_EQ(out[0].event.type, COSMOS_EVENT_CONTAINER_START);
                tree.end(100);
                tree.cgroup_end("/docker/" + A);
                tick();
                ASSERT_EQ(tick().size(), 1u);
        }
}

TEST_F(StartStopTest, FoldersOfEachHierarchy)
{
        struct {
                const char *line, *folder;
        } cases[] = {
            {"0::", "/docker/"},
            {"0::", "/unified/docker/"},
            {"1:name=systemd:", "/systemd/docker/"},
            {"4:memory:", "/memory/docker/"},
            {"4:cpu,cpuacct:", "/cpu,cpuacct/docker/"},
            {"4:cpu,cpuacct:", "/cpu/docker/"},
        };

        open();
        for (const auto &c : cases) {
                Proc p = member(A);

                p.cgroup = c.line + ("/docker/" + A) + "\n";
                tree.cgroup(c.folder + A);
                tree.put(100, p);
                EXPECT_EQ(call(100, 20).size(), 2u);
                EXPECT_TRUE(tick().empty()) << c.line;
                EXPECT_TRUE(tick().empty()) << c.line;
                tree.end(100);
                EXPECT_TRUE(tick(2).empty());
                EXPECT_TRUE(tick().empty()) << "the folder decides, not the process: " << c.line;
                tree.cgroup_end(c.folder + A);
                EXPECT_TRUE(tick().empty());
                EXPECT_EQ(tick().size(), 1u) << c.line;
        }
}

TEST_F(StartStopTest, WithoutAFolderByItsProcesses)
{
        Proc p = member(A);

        open();
        p.cgroup = "0::/../" + A + "\n";
        tree.put(100, p);
        tree.put(101, member(A, 100));
        call(100, 20);
        call(101, 100);
        for (int i = 0; i < 4; i++)
                EXPECT_TRUE(tick(2).empty());
        tree.end(100);
        EXPECT_TRUE(tick(2).empty());
        EXPECT_TRUE(tick(2).empty()) << "one is left";
        p.start = 7; /* the pid is reused on the host */
        tree.put(101, p);
        EXPECT_TRUE(tick(2).empty());
        auto out = tick(2);
        ASSERT_EQ(out.size(), 1u);
        EXPECT_EQ(out[0].event.type, COSMOS_EVENT_CONTAINER_STOP);
}

TEST_F(StartStopTest, WhatNeverStartedEndsSilently)
{
        Proc shim;

        shim.comm = "containerd-shim";
        shim.cmdline = {"containerd-shim-runc-v2", "-id", A};
        tree.put(20, shim);
        open();
        EXPECT_EQ(containers(), 1u);
        EXPECT_EQ(cosmos_resolver_count(resolver), 0u);
        for (int i = 0; i < 4; i++)
                EXPECT_TRUE(tick(2).empty());
        EXPECT_EQ(containers(), 1u) << "its shim is there";
        tree.end(20);
        EXPECT_TRUE(tick(2).empty());
        EXPECT_TRUE(tick(2).empty());
        EXPECT_EQ(containers(), 0u);
        EXPECT_EQ(processes(), 0u);
}

TEST_F(StartStopTest, ManyComeAndGoAndLeaveNothing)
{
        open();
        for (unsigned int i = 1; i <= 100; i++) {
                std::string id = make_id(i);

                tree.cgroup("/docker/" + id);
                tree.put((int32_t)(1000 + i), member(id));
                call((int32_t)(1000 + i), 20);
        }
        EXPECT_EQ(cosmos_resolver_count(resolver), 100u);
        for (unsigned int i = 1; i <= 100; i++) {
                tree.cgroup_end("/docker/" + make_id(i));
                tree.end((int32_t)(1000 + i));
        }
        EXPECT_TRUE(tick().empty());
        EXPECT_EQ(tick().size(), 100u);
        EXPECT_EQ(processes(), 0u);
        EXPECT_EQ(containers(), 0u);
        tick();
        EXPECT_TRUE(cosmos__list_empty(&resolver->table.removed));
}

TEST_F(StartStopTest, StringsLiveUntilAllIsTaken)
{
        const cosmos_event *event;

        open();
        tree.docker(A, "db", "mariadb:11");
        tree.cgroup("/docker/" + A);
        tree.put(100, member(A));
        call(100, 20);
        tree.cgroup_end("/docker/" + A);
        tick();
        pass_ns(500000000);
        ASSERT_EQ(cosmos_resolver_feed(resolver, nullptr, nullptr), 0);
        pass_ns(500000000);
        ASSERT_EQ(cosmos_resolver_feed(resolver, nullptr, nullptr), 0) << "another tick before the stop was taken";
        ASSERT_EQ(cosmos_resolver_next(resolver, &event), 1);
        EXPECT_STREQ(event->container_name, "db");
        EXPECT_EQ(cosmos_resolver_next(resolver, &event), 0);
}

TEST_F(StartStopTest, FeedingAgainTooEarlyIsAnError)
{
        cosmos_event e = {};
        const cosmos_event *event;

        open();
        e.type = COSMOS_EVENT_LOSS;
        ASSERT_EQ(cosmos_resolver_feed(resolver, &e, &diag), 0);
        EXPECT_EQ(cosmos_resolver_feed(resolver, &e, &diag), -EBUSY);
        EXPECT_NE(std::string(diag.text).find("next()"), std::string::npos);
        EXPECT_EQ(cosmos_resolver_next(resolver, &event), 1);
        EXPECT_EQ(cosmos_resolver_next(resolver, &event), 0);
        EXPECT_EQ(cosmos_resolver_feed(resolver, &e, &diag), 0);
}

TEST_F(StartStopTest, WhatIsOfTheSource)
{
        cosmos_event e = {};

        select = {"nothing"};
        open();
        for (auto type : {COSMOS_EVENT_LOSS, COSMOS_EVENT_TRACE}) {
                e.type = type;
                EXPECT_EQ(feed(e).size(), 1u);
        }
        for (auto type : {COSMOS_EVENT_CONTAINER_START, COSMOS_EVENT_CONTAINER_STOP}) {
                e.type = type;
                EXPECT_EQ(feed(e).size(), 0u) << "ours to say";
        }
}

/* ---- selection --------------------------------------------------------------- */

class SelectionTest : public StartStopTest
{
      protected:
        void SetUp() override
        {
                tree.docker(A, "db", "mariadb:11");
                tree.docker(B, "web", "registry:5000/nginx:1");
                tree.cgroup("/docker/" + A);
                tree.cgroup("/docker/" + B);
                tree.put(100, member(A));
                tree.put(200, member(B));
        }

        std::string both(const char *word)
        {
                std::string out;

                select = {word};
                open();
                drain();
                if (in(call(100, 20)) == A)
                        out += "A";
                if (in(call(200, 20)) == B)
                        out += "B";
                EXPECT_EQ(cosmos_resolver_count(resolver), out.size());
                return out;
        }
};

TEST_F(SelectionTest, Live)
{
        EXPECT_EQ(both("db"), "A");
        EXPECT_EQ(both("aaaa"), "A");
        EXPECT_EQ(both("aaa"), "");
        EXPECT_EQ(both("mariadb"), "A");
        EXPECT_EQ(both("mariadb:11"), "A");
        EXPECT_EQ(both("registry:5000/nginx"), "B");
        EXPECT_EQ(both("web"), "B");
        EXPECT_EQ(both("other"), "");
        select = {"db", "web"};
        open();
        EXPECT_EQ(drain().size(), 2u);
}

TEST_F(SelectionTest, NotSelectedSaysNothing)
{
        select = {"db"};
        open();
        drain();
        EXPECT_TRUE(call(200, 20).empty());
        EXPECT_EQ(containers(), 2u) << "but it is known";
        tree.cgroup_end("/docker/" + B);
        EXPECT_TRUE(tick().empty());
        EXPECT_TRUE(tick().empty());
        EXPECT_EQ(containers(), 1u);
}

TEST_F(SelectionTest, ByANameThatComesLate)
{
        std::string id = make_id('c');

        select = {"late"};
        open();
        tree.cgroup("/docker/" + id);
        tree.put(300, member(id));
        EXPECT_TRUE(call(300, 20).empty());
        tree.docker(id, "late", "x");
        EXPECT_TRUE(call(300, 20).empty()) << "not looked for at each event";
        EXPECT_TRUE(tick().empty());
        auto out = call(300, 20);
        ASSERT_EQ(out.size(), 2u);
        EXPECT_EQ(out[0].event.type, COSMOS_EVENT_CONTAINER_START);
        EXPECT_EQ(out[0].name, "late");
}

TEST_F(SelectionTest, Words)
{
        auto o = options();
        const char *empty = "";

        o.select = &empty;
        o.n_select = 1;
        EXPECT_EQ(cosmos_resolver_new(&resolver, &o, &diag), -EINVAL);
        EXPECT_EQ(resolver, nullptr);
}

/* ---- names ------------------------------------------------------------------- */

class NamesTest : public StartStopTest
{
};

TEST_F(NamesTest, TriedAFewTimes)
{
        open();
        tree.cgroup("/docker/" + A);
        tree.put(100, member(A));
        EXPECT_EQ(call(100, 20).back().name, "");
        for (int i = 0; i < 3; i++) {
                tick(2);
                EXPECT_EQ(call(100, 20).back().name, "");
        }
        tree.docker(A, "db", "mariadb:11");
        tick(2);
        EXPECT_EQ(call(100, 20).back().name, "db");
        EXPECT_EQ(call(100, 20).back().image, "mariadb:11");
        EXPECT_TRUE(log.empty());

        tree.cgroup("/docker/" + B);
        tree.put(200, member(B));
        for (int i = 0; i < 10; i++) {
                EXPECT_EQ(in(call(200, 20)), B);
                tick(2);
        }
        tree.docker(B, "web", "nginx");
        tick(2);
        EXPECT_EQ(call(200, 20).back().name, "") << "not for ever";
        EXPECT_TRUE(log.empty()) << "a container of another runtime is no reason to complain";
}

TEST_F(NamesTest, HostileStateIsSaidOnce)
{
        open();
        for (const auto &id : {A, B}) {
                tree.write(tree.docker_root + "/containers/" + id + "/config.v2.json", "{\"ID\":\"no\"}");
                tree.cgroup("/docker/" + id);
        }
        tree.put(100, member(A));
        tree.put(200, member(B));
        call(100, 20);
        call(200, 20);
        for (int i = 0; i < 10; i++)
                tick(2);
        EXPECT_EQ(call(100, 20).back().name, "");
        ASSERT_EQ(log.size(), 1u);
        EXPECT_NE(log[0].find("warning: container aaaaaaaaaaaa: its name and image are not known"), std::string::npos)
            << log[0];
}

TEST_F(NamesTest, RootFromTheContainersMounts)
{
        discover = true;
        open();
        for (const auto &id : {A, B})
                tree.cgroup("/docker/" + id);
        tree.docker(A, "db", "mariadb:11");
        tree.docker(B, "web", "nginx");
        tree.put(100, member(A));
        tree.put(200, member(B));
        tree.write(tree.proc_root + "/100/mountinfo",
                   "2 1 8:3 /docker/containers/" + A + "/hostname /etc/hostname rw - ext4 /dev/sda3 rw\n");
        tree.write(tree.proc_root + "/self/mountinfo", "20 1 8:3 / " + tree.root + " rw - ext4 /dev/sda3 rw\n");
        EXPECT_EQ(call(100, 20).back().name, "db");
        EXPECT_EQ(call(200, 20).back().name, "web") << "the same folder, without mounts of its own";
}

TEST_F(NamesTest, RootFromAnotherMember)
{
        discover = true;
        open();
        tree.cgroup("/docker/" + A);
        tree.docker(A, "db", "mariadb:11");
        tree.put(100, member(A));
        call(100, 20);
        tree.put(101, member(A, 100));
        tree.write(tree.proc_root + "/100/mountinfo",
                   "2 1 8:3 " + tree.docker_root + "/containers/" + A + "/hosts /etc/hosts rw - ext4 /dev/sda3 rw\n");
        tick();
        EXPECT_EQ(call(101, 100).back().name, "db");
}

TEST_F(NamesTest, MountsThatLie)
{
        discover = true;
        open();
        tree.cgroup("/docker/" + A);
        tree.docker(B, "web", "nginx");
        tree.put(100, member(A));
        tree.write(tree.root + "/lie/containers/" + A + "/config.v2.json", "{\"ID\":\"" + B + "\",\"Name\":\"/web\"}");
        tree.write(tree.proc_root + "/100/mountinfo",
                   "2 1 8:3 " + tree.root + "/lie/containers/" + A + "/hosts /etc/hosts rw - ext4 /dev/sda3 rw\n");
        EXPECT_EQ(call(100, 20).back().name, "");
}

/* A daemon's command line: of root's alone, so these need root. */
class DaemonTest : public NamesTest
{
      protected:
        void SetUp() override
        {
                if (geteuid() != 0)
                        GTEST_SKIP() << "only root can make a process of root's";
                discover = true;
                tree.cgroup("/docker/" + A);
                tree.docker(A, "db", "mariadb:11");
                dockerd.comm = "dockerd";
        }
        Proc dockerd;
};

TEST_F(DaemonTest, RootFromItsCommandLine)
{
        for (const auto &cmdline : {std::vector<std::string>{"dockerd", "--data-root", tree.docker_root, "-D"},
                                    std::vector<std::string>{"dockerd", "--data-root=" + tree.docker_root}}) {
                dockerd.cmdline = cmdline;
                tree.put(50, dockerd);
                open();
                tree.put(100, member(A));
                EXPECT_EQ(call(100, 20).back().name, "db");
        }
}

TEST_F(DaemonTest, WithoutARootOrInAContainer)
{
        dockerd.cmdline = {"dockerd", "--data-root"};
        tree.put(50, dockerd);
        dockerd.cmdline = {"dockerd", "--data-root=" + tree.docker_root};
        dockerd.cgroup = docker_cgroup(B);
        tree.put(51, dockerd);
        open();
        tree.put(100, member(A));
        EXPECT_EQ(call(100, 20).back().name, "");
}

/* A container that ends at once: its state is gone when its first call is looked at. */
TEST_F(DaemonTest, NameFromBeforeItsFirstCall)
{
        Proc runc = member(A);

        dockerd.cmdline = {"dockerd", "--data-root=" + tree.docker_root};
        tree.put(50, dockerd);
        tree.put(20, {});
        open();
        runc.comm = "runc:[2:INIT]";
        tree.put(100, runc);
        EXPECT_TRUE(call(100, 20, "runc:[2:INIT]").empty());
        tree.remove(tree.docker_root + "/containers/" + A + "/config.v2.json");
        EXPECT_EQ(exec(100, 20).back().name, "db");
}

/* ---- limits ------------------------------------------------------------------ */

class LimitsTest : public StartStopTest
{
};

TEST_F(LimitsTest, Processes)
{
        open();
        tree.cgroup("/docker/" + A);
        tree.put(20, {});
        tree.put(100, member(A));
        EXPECT_EQ(in(call(100, 20, "sh")), A);
        for (int32_t pid = 1000; pid < 71000; pid++)
                call(pid, 100); /* gone each: its parent's */
        EXPECT_LE(processes(), COSMOS__PROCESSES_MAX + 1);
        EXPECT_GE(processes(), COSMOS__PROCESSES_MAX - 1);
        EXPECT_EQ(in(call(70999, 90000)), A) << "the last one is known";
        EXPECT_EQ(in(call(1000, 90000)), "") << "the first one was forgotten";
        EXPECT_EQ(in(call(100, 20, "runc")), A) << "a root is not: overflow would let it pass as the runtime's init";
}

TEST_F(LimitsTest, Containers)
{
        Proc p;

        open();
        for (unsigned int i = 0; i < 4200; i++) {
                tree.put((int32_t)(1000 + i), member(make_id(i)));
                call((int32_t)(1000 + i), 20);
        }
        EXPECT_LE(containers(), COSMOS__CONTAINERS_MAX + 1);
        auto out = call(1000, 20);
        ASSERT_EQ(out.size(), 2u) << "forgotten, and looked up again";
        EXPECT_EQ(out[1].id, make_id(0u));
        EXPECT_EQ(call(5199, 20).size(), 1u);
}

TEST_F(LimitsTest, ContainersAtTheStart)
{
        for (unsigned int i = 0; i < 4200; i++)
                tree.put((int32_t)(1000 + i), member(make_id(i)));
        open();
        EXPECT_EQ(drain().size(), 4200u);
        EXPECT_LE(containers(), COSMOS__CONTAINERS_MAX);
        tick();
        EXPECT_TRUE(cosmos__list_empty(&resolver->table.removed));
}

TEST_F(LimitsTest, HostileTree)
{
        Proc p;

        tree.put(100, member(A));
        p.cgroup = "0::/" + std::string(60000, 'x') + "/docker/" + A;
        tree.put(101, p);
        tree.write(tree.proc_root + "/102/stat", "");
        tree.write(tree.proc_root + "/103/stat", std::string(100000, ')'));
        tree.write(tree.proc_root + "/104/stat/x", "");
        open();
        auto out = drain();
        ASSERT_EQ(out.size(), 1u);
        EXPECT_EQ(in(call(101, 1)), A);
        EXPECT_TRUE(call(102, 1).empty());
        EXPECT_TRUE(call(103, 1).empty());
        EXPECT_TRUE(call(104, 1).empty());
        EXPECT_TRUE(call(INT32_MAX, INT32_MAX).empty());
        EXPECT_TRUE(call(105, -1).empty());
}

/* ---- unaudited --------------------------------------------------------------- */

class UnauditedTest : public StartStopTest
{
      protected:
        void SetUp() override
        {
                detect = true;
                tree.docker(A, "db", "mariadb:11");
                tree.cgroup("/docker/" + A);
                for (int32_t pid : {100, 101, 102})
                        start[pid - 100] = put(pid, 1000);
        }

        uint64_t put(int32_t pid, uint64_t switches)
        {
                Proc p = member(A);

                p.comm = "maria\ndbd";
                p.switches = switches;
                return tree.put(pid, p);
        }

        uint64_t start[3];
};

TEST_F(UnauditedTest, IsSaid)
{
        open();
        drain();
        EXPECT_EQ(in(call(100, 20)), A); /* this one is audited */
        tree.switches(100, 2000);
        tree.switches(101, 1016);
        tree.switches(102, 1015);
        EXPECT_TRUE(tick(1.2).empty()) << "too early to tell";
        auto out = tick(1);
        ASSERT_EQ(out.size(), 1u);
        EXPECT_EQ(out[0].event.type, COSMOS_EVENT_LOSS);
        EXPECT_EQ(out[0].event.loss_kind, COSMOS_LOSS_UNAUDITED);
        EXPECT_EQ(out[0].id, A);
        EXPECT_EQ(out[0].name, "db");
        EXPECT_EQ(out[0].event.known, COSMOS_KNOWN_PID | COSMOS_KNOWN_PROC_START);
        EXPECT_EQ(out[0].event.pid, 101);
        EXPECT_EQ(out[0].event.proc_start, start[1]);
        ASSERT_EQ(log.size(), 1u);
        for (const char *part :
             {"warning: container db (aaaaaaaaaaaa)", "process 101 (maria\\x0adbd)", "restart it", "audit=1"})
                EXPECT_NE(log[0].find(part), std::string::npos) << log[0];
        EXPECT_TRUE(tick(2).empty()) << "once";
        tree.switches(102, 1016);
        ASSERT_EQ(tick(2).size(), 1u);
        EXPECT_EQ(log.size(), 1u) << "one warning for a container";
        EXPECT_TRUE(tick(2).empty());
}

TEST_F(UnauditedTest, NotOfWhatIsNotSelectedOrEnded)
{
        select = {"other"};
        open();
        for (int32_t pid : {100, 101, 102})
                tree.switches(pid, 5000);
        EXPECT_TRUE(tick(3).empty());
        EXPECT_TRUE(tick(3).empty());

        select = {};
        open();
        drain();
        for (int32_t pid : {100, 101})
                tree.end(pid);
        pass_ns(2000000000);
        put(102, 90000); /* another process with this pid */
        EXPECT_TRUE(tick(3).empty());
        EXPECT_TRUE(log.empty());
}

TEST_F(UnauditedTest, SomeAtATick)
{
        for (int32_t pid = 1000; pid < 1600; pid++)
                put(pid, 1);
        open();
        drain();
        for (int32_t pid = 1000; pid < 1600; pid++)
                tree.switches(pid, 100);
        size_t n = 0, most = 0;
        for (int i = 0; i < 4; i++) {
                size_t now = tick(2).size();
                n += now;
                most = std::max(most, now);
        }
        EXPECT_EQ(n, 600u);
        EXPECT_LE(most, 256u);
}

TEST_F(UnauditedTest, NotAsked)
{
        detect = false;
        open();
        drain();
        for (int32_t pid : {100, 101, 102})
                tree.switches(pid, 5000);
        EXPECT_TRUE(tick(3).empty());
        EXPECT_TRUE(log.empty());
}

/* ---- replay ------------------------------------------------------------------ */

class ReplayTest : public ResolverTest
{
      protected:
        void open_replay()
        {
                auto o = options();

                o.live = 0;
                o.proc_root = "/nonexistent"; /* nothing is looked up */
                open(o);
        }

        bool passes(cosmos_event_type type, const char *id, const char *name, const char *image)
        {
                cosmos_event e = {};

                e.type = type;
                e.container_id = id;
                e.container_name = name;
                e.image = image;
                e.pid = 100;
                e.seq = 77;
                auto out = feed(e);
                if (out.empty())
                        return false;
                EXPECT_EQ(out.size(), 1u);
                EXPECT_EQ(out[0].event.container_id, id) << "unchanged";
                EXPECT_EQ(out[0].event.seq, 77u);
                EXPECT_EQ(out[0].event.type, type);
                return true;
        }
};

static const cosmos_event_type all_types[] = {
    COSMOS_EVENT_CALL,           COSMOS_EVENT_THREAD_EXIT, COSMOS_EVENT_LOSS, COSMOS_EVENT_CONTAINER_START,
    COSMOS_EVENT_CONTAINER_STOP, COSMOS_EVENT_TRACE,
};

TEST_F(ReplayTest, WithoutSelectionAllPasses)
{
        open_replay();
        for (auto type : all_types) {
                EXPECT_TRUE(passes(type, nullptr, nullptr, nullptr));
                EXPECT_TRUE(passes(type, A.c_str(), "db", "mariadb:11"));
        }
        EXPECT_TRUE(tick().empty());
        EXPECT_EQ(cosmos_resolver_count(resolver), 0u);
}

TEST_F(ReplayTest, Selection)
{
        select = {"db"};
        open_replay();
        for (auto type : all_types) {
                bool of_source = type == COSMOS_EVENT_LOSS || type == COSMOS_EVENT_TRACE;

                EXPECT_EQ(passes(type, nullptr, nullptr, nullptr), of_source) << type;
                EXPECT_TRUE(passes(type, A.c_str(), "db", "mariadb:11")) << type;
                EXPECT_TRUE(passes(type, nullptr, "db", nullptr)) << type;
                EXPECT_EQ(passes(type, B.c_str(), "web", "nginx"), type == COSMOS_EVENT_TRACE) << type;
        }
        select = {"aaaa", "nginx"};
        open_replay();
        EXPECT_TRUE(passes(COSMOS_EVENT_CALL, A.c_str(), nullptr, nullptr));
        EXPECT_TRUE(passes(COSMOS_EVENT_CALL, B.c_str(), nullptr, "nginx:1"));
        EXPECT_FALSE(passes(COSMOS_EVENT_CALL, B.c_str(), nullptr, "mariadb"));
}

/* ---- the object -------------------------------------------------------------- */

TEST(Resolver, Options)
{
        cosmos_resolver_options o = {};
        cosmos_resolver *r = nullptr;
        cosmos_diag diag = {};

        EXPECT_EQ(cosmos_resolver_free(nullptr), nullptr);
        EXPECT_EQ(cosmos_resolver_new(&r, &o, &diag), -EINVAL) << "no size";
        o.size = sizeof(o);
        o.live = 1;
        o.proc_root = "/nonexistent";
        EXPECT_EQ(cosmos_resolver_new(&r, &o, &diag), -ENOENT);
        EXPECT_NE(std::string(diag.text).find("/nonexistent"), std::string::npos);
        EXPECT_EQ(r, nullptr);
}

/* The real /proc of this machine, once as a user who may read little of it. */
static int real()
{
        cosmos_resolver *r = nullptr;
        const cosmos_event *event;
        cosmos_event e = {};
        cosmos_diag diag = {};

        if (cosmos_resolver_new(&r, nullptr, &diag) < 0) {
                fprintf(stderr, "%s\n", diag.text);
                return 1;
        }
        while (cosmos_resolver_next(r, &event) == 1)
                if (event->type != COSMOS_EVENT_CONTAINER_START || !event->container_id)
                        return 2;
        e.type = COSMOS_EVENT_CALL;
        e.known = COSMOS_KNOWN_PID;
        e.pid = getpid();
        e.syscall = "getppid";
        e.timestamp = now_ns();
        for (int i = 0; i < 1000; i++) {
                if (cosmos_resolver_feed(r, &e, &diag) < 0)
                        return 3;
                while (cosmos_resolver_next(r, &event) == 1) /* where this test runs in a container */
                        if (event->type == COSMOS_EVENT_CALL && !event->container_id)
                                return 4;
        }
        if (cosmos_resolver_feed(r, nullptr, &diag) < 0)
                return 5;
        while (cosmos_resolver_next(r, &event) == 1)
                ;
        cosmos_resolver_free(r);
        return 0;
}

TEST(Resolver, OnThisMachine)
{
        EXPECT_EQ(real(), 0);
}

TEST(Resolver, OnThisMachineUnprivileged)
{
        pid_t child = fork();
        int status = 0;

        ASSERT_GE(child, 0);
        if (child == 0) {
                if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
                        _exit(9);
                _exit(real());
        }
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 0);
}
