/* SPDX-License-Identifier: Apache-2.0 */
/* Who made this call? Each rule of lookup.c, on trees of made-up processes. */
#include "fixture.h"

#include <filesystem>

static const std::string A = make_id('a'), B = make_id('b');
static const std::string SHIM = "containerd-shim"; /* as the kernel cuts its name */

class LookupTest : public ResolverTest
{
      protected:
        /* pid 1; a shim (20) of container A, and a shell on the host (30). */
        void SetUp() override
        {
                Proc init, shim, shell;

                init.ppid = 0;
                init.comm = "systemd";
                init.mounts = "host";
                tree.put(1, init);
                shim.comm = SHIM;
                shim.cgroup = "0::/system.slice/containerd.service\n";
                shim.cmdline = {"/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", A};
                shim.mounts = "host";
                tree.put(20, shim);
                shell.comm = "bash";
                shell.mounts = "host";
                tree.put(30, shell);
                tree.cgroup("/docker/" + A);
                tree.cgroup("/docker/" + B);
        }

        Proc member(int32_t ppid, const std::string &id = A)
        {
                Proc p;

                p.ppid = ppid;
                p.cgroup = docker_cgroup(id);
                p.mounts = "inside";
                return p;
        }

        Proc host(int32_t ppid, const std::string &comm = "ls")
        {
                Proc p;

                p.ppid = ppid;
                p.comm = comm;
                p.mounts = "host";
                return p;
        }
};

TEST_F(LookupTest, ByCgroup)
{
        open();
        tree.put(100, member(20));
        tree.put(101, host(30));
        EXPECT_EQ(in(call(100, 20)), A);
        EXPECT_EQ(in(call(101, 30)), "");
        EXPECT_TRUE(call(101, 30).empty()) << "the host's own calls do not come out";
}

TEST_F(LookupTest, FillsTheEvent)
{
        std::vector<Out> out;
        uint64_t start;

        tree.docker(A, "db", "mariadb:11");
        open();
        start = tree.put(100, member(20));
        out = call(100, 20);
        ASSERT_EQ(out.size(), 2u);
        EXPECT_EQ(out[0].event.type, COSMOS_EVENT_CONTAINER_START);
        EXPECT_EQ(out[0].event.timestamp, out[1].event.timestamp);
        EXPECT_EQ(out[0].event.timestamp_digits, 3u);
        for (const auto &o : out) {
                EXPECT_EQ(o.id, A);
                EXPECT_EQ(o.name, "db");
                EXPECT_EQ(o.image, "mariadb:11");
        }
        EXPECT_EQ(out[1].event.type, COSMOS_EVENT_CALL);
        EXPECT_TRUE(out[1].event.known & COSMOS_KNOWN_PROC_START);
        EXPECT_EQ(out[1].event.proc_start, start);
        EXPECT_STREQ(out[1].event.syscall, "getppid");
        EXPECT_EQ(call(100, 20).size(), 1u) << "it starts once";
}

TEST_F(LookupTest, ThreadExitIsLikeACall)
{
        cosmos_event e = {};

        open();
        tree.put(100, member(20));
        call(100, 20);
        e.type = COSMOS_EVENT_THREAD_EXIT;
        e.known = COSMOS_KNOWN_PID;
        e.pid = 100;
        e.timestamp = now_ns();
        EXPECT_EQ(in(feed(e)), A);
        e.pid = 30;
        EXPECT_TRUE(feed(e).empty());
        e.pid = -5;
        EXPECT_TRUE(feed(e).empty());
}

TEST_F(LookupTest, KnownForASecondWithoutProc)
{
        open();
        tree.put(100, member(20));
        EXPECT_EQ(in(call(100, 20)), A);
        Proc other = host(30);
        other.age = 50;
        tree.put(100, other); /* would be found out */
        pass_ns(900000000);
        EXPECT_EQ(in(call(100, 20)), A);
        pass_ns(200000000);
        EXPECT_EQ(in(call(100, 30)), "");
}

TEST_F(LookupTest, ReusedPid)
{
        Proc later;
        uint64_t start;

        open();
        tree.put(100, member(20));
        EXPECT_EQ(in(call(100, 20)), A);
        pass_ns(5000000000);
        later = member(20, B);
        later.age = 1;
        start = tree.put(100, later);
        /* Late events of the first one, then the second's own. */
        EXPECT_EQ(in(call(100, 20, "app", 3)), A);
        EXPECT_EQ(in(call(100, 20, "app", 1.1)), A);
        auto out = call(100, 20, "app", 0.5);
        EXPECT_EQ(in(out), B);
        EXPECT_EQ(out.back().event.proc_start, start);
        EXPECT_EQ(in(call(100, 20)), B);
        /* And an event of the first one again, out of order: its parent is all that is left to ask. */
        tree.put(99, member(20));
        EXPECT_EQ(in(call(100, 99, "app", 2)), A);
        EXPECT_EQ(in(call(100, 30, "app", 2)), "");
        EXPECT_EQ(in(call(100, 20)), B) << "the entry stayed";
}

TEST_F(LookupTest, ReusedPidNeverSeenBefore)
{
        Proc later = host(30);

        open();
        tree.put(100, member(20));
        later.age = 1;
        tree.put(101, later);
        EXPECT_EQ(in(call(101, 100, "app", 2)), A) << "what has the pid now is younger than the event: ask the parent";
        EXPECT_EQ(in(call(101, 30, "app", 0)), "") << "and then it is the younger one's own event";
        later = member(30);
        later.age = 0.005;
        tree.put(102, later);
        EXPECT_EQ(in(call(102, 30, "app", 0.02)), A) << "within the clocks' tolerance";
}

TEST_F(LookupTest, ClockIsSet)
{
        open();
        tree.put(100, member(20));
        EXPECT_EQ(in(call(100, 20)), A);
        for (int64_t seconds : {-3600, 7200, -3600}) {
                set_clock_ns(seconds * 1000000000);
                EXPECT_EQ(in(call(100, 30)), A) << "not taken for one that had the pid before: " << seconds;
                pass_ns(2000000000);
                EXPECT_EQ(in(call(100, 30)), A);
        }
}

TEST_F(LookupTest, LateEventsOfADeadProcess)
{
        open();
        tree.put(100, member(20));
        EXPECT_EQ(in(call(100, 20)), A);
        tree.end(100);
        EXPECT_EQ(in(call(100, 1)), A);
        pass_ns(3000000000);
        EXPECT_EQ(in(call(100, 1)), A);
        tick(4);
        EXPECT_EQ(in(call(100, 1)), A) << "not yet forgotten";
        tick(11);
        EXPECT_EQ(in(call(100, 30)), "") << "forgotten";
}

TEST_F(LookupTest, InheritsFromCachedParents)
{
        open();
        tree.put(100, member(20));
        call(100, 20);
        tree.end(100);
        EXPECT_EQ(in(call(101, 100)), A) << "gone when first seen";
        EXPECT_EQ(in(call(102, 101)), A) << "its child, gone as well";
        EXPECT_EQ(in(call(103, 102)), A);
        EXPECT_FALSE(call(103, 102).back().event.known & COSMOS_KNOWN_PROC_START) << "not known, not made up";
        EXPECT_EQ(in(call(104, 30)), "");
        EXPECT_EQ(in(call(105, 9999)), "") << "nothing known of the parent";
        EXPECT_EQ(in(call(106, 0)), "") << "no parent known";
}

TEST_F(LookupTest, InheritsFromParentInProc)
{
        open();
        tree.put(100, member(20)); /* itself without events */
        EXPECT_EQ(in(call(101, 100)), A);
        Proc young = member(20, B);
        young.age = 0.1;
        tree.put(200, young);
        EXPECT_EQ(in(call(201, 200, "app", 5)), "") << "that parent is younger than the event";
}

TEST_F(LookupTest, InheritsFromShim)
{
        open();
        EXPECT_EQ(in(call(100, 20, "true")), A);
        EXPECT_EQ(in(call(101, 20, "runc")), "") << "the runtime's own";
        EXPECT_EQ(in(call(102, 20, "containerd-shim")), "");
        EXPECT_EQ(in(call(103, 101, "libnetwork-setk")), "") << "a hook that the runtime ran";
        EXPECT_EQ(in(call(104, 101, "runc:[2:INIT]")), "") << "in the container, but not begun";
        EXPECT_EQ(in(exec(104, 20, "true", "/bin/true")), A);
        EXPECT_EQ(in(call(104, 20, "true")), A);
}

/* All that is read of it comes after its end: nothing but events tells of it. */
TEST_F(LookupTest, ContainerThatIsGoneAltogether)
{
        const char *shim = "/usr/bin/containerd-shim-runc-v2";
        std::string start = "containerd-shim-runc-v2 -namespace moby -id " + B;

        open();
        EXPECT_EQ(in(exec_as(0, 300, 1, shim, start + " -address /run/c.sock")), "") << "the shim is not in it";
        EXPECT_EQ(in(call(301, 300, "runc")), "");
        EXPECT_EQ(in(call(302, 301, "runc:[2:INIT]")), "");
        EXPECT_EQ(in(exec(302, 300, "true", "/bin/true")), B);
        EXPECT_EQ(in(call(302, 300, "true")), B);
        EXPECT_EQ(in(call(303, 302, "true")), B);
}

TEST_F(LookupTest, WhatIsNoShimOfRoots)
{
        const char *shim = "/usr/bin/containerd-shim-runc-v2";
        int32_t pid = 300;

        open();
        auto child_of = [&](const std::vector<Out> &out) {
                EXPECT_TRUE(out.empty());
                pid += 2;
                return in(exec(pid - 1, pid - 2, "true", "/bin/true"));
        };
        EXPECT_EQ(child_of(exec_as(1000, pid, 1, shim, "x -id " + B)), "") << "a user's";
        EXPECT_EQ(child_of(exec_as(0, pid, 1, "/usr/bin/app", "x -id " + B)), "") << "another program";
        EXPECT_EQ(child_of(exec_as(0, pid, 1, shim, "x -id " + B.substr(1))), "") << "63 digits";
        EXPECT_EQ(child_of(exec_as(0, pid, 1, shim, "x -id " + B + "b")), "") << "65 digits";
        EXPECT_EQ(child_of(exec_as(0, pid, 1, shim, "x -id")), "");
        EXPECT_EQ(child_of(exec_as(0, pid, 1, shim, "x -id " + B)), B) << "this one is";
}

TEST_F(LookupTest, WalksUpToTheShim)
{
        Proc init = host(20, "app"), child = host(100, "sh"), runc = host(20, "runc"), hook = host(102, "hook");

        init.mounts = child.mounts = "inside";
        open();
        tree.put(100, init);
        tree.put(101, child);
        tree.put(102, runc);
        tree.put(103, hook);
        EXPECT_EQ(in(call(101, 100, "sh")), A) << "two steps, nothing cached between";
        EXPECT_EQ(in(call(100, 20, "app")), A);
        EXPECT_EQ(in(call(102, 20, "runc")), "");
        EXPECT_EQ(in(call(103, 102, "hook")), "") << "among the host's mounts";
        EXPECT_EQ(in(call(20, 1, "containerd-shim")), "");
}

TEST_F(LookupTest, WalkByNameWhereNamespacesAreUnreadable)
{
        Proc init = host(20, "app"), runc = host(20, "runc"), init2 = host(20, "runc:[2:INIT]");

        init.mounts = runc.mounts = init2.mounts = "";
        open();
        tree.put(100, init);
        tree.put(101, runc);
        tree.put(102, init2);
        EXPECT_EQ(in(call(100, 20, "app")), A);
        EXPECT_EQ(in(call(101, 20, "runc")), "");
        EXPECT_EQ(in(call(102, 20, "runc:[2:INIT]")), "");
        EXPECT_EQ(in(exec(102, 20, "app", "/bin/app")), A);
}

TEST_F(LookupTest, NameDoesNotHideWithoutCgroups)
{
        Proc p = host(20, "runc");

        p.mounts = "inside";
        open();
        tree.put(100, p);
        EXPECT_EQ(in(exec(100, 20, "runc", "/bin/runc")), A);
        p.ppid = 100;
        p.comm = SHIM;
        p.cmdline = {"shim", "-id", B};
        tree.put(101, p);
        EXPECT_EQ(in(call(101, 100, "containerd-shim")), A) << "a shim is of the host";
}

TEST_F(LookupTest, MovedOutOfItsCgroup)
{
        open();
        tree.put(100, member(20));
        call(100, 20);
        Proc p = host(100, "sh");
        tree.put(101, p);
        EXPECT_EQ(in(call(101, 100, "sh")), A) << "a child of a member is a member";
        tree.end(101);
        tree.put(102, host(101, "sh")); /* parent gone: it cannot be shown as such by /proc */
        tree.put(103, host(104, "sh"));
        tree.put(104, member(20));
        EXPECT_EQ(in(call(103, 104, "sh")), A) << "an ancestor that is not cached";
        tree.put(100, host(20, "app"));
        EXPECT_EQ(in(exec(100, 20, "app", "/bin/app")), A) << "itself, and to the host's mounts: a member stays one";
}

TEST_F(LookupTest, LongChainOfAncestorsIsBounded)
{
        Proc p;

        open();
        for (int32_t pid = 1000; pid < 1100; pid++) {
                p = host(pid == 1000 ? 20 : pid - 1, "sh");
                p.mounts = "inside";
                tree.put(pid, p);
        }
        EXPECT_EQ(in(call(1099, 1098, "sh")), "");
        EXPECT_EQ(in(call(1060, 1059, "sh")), A);
        tree.put(2000, host(2000, "sh")); /* its own parent, which no kernel says */
        EXPECT_EQ(in(call(2000, 2000)), "");
}

TEST_F(LookupTest, EndingProcessOnCgroupV1)
{
        Proc p = host(100, "sh");

        open();
        tree.put(100, member(20));
        call(100, 20);
        p.cgroup = "4:memory:/\n0::/\n";
        p.flags = 0x400004; /* PF_EXITING */
        p.ppid = 1;         /* by now */
        tree.put(101, p);
        EXPECT_EQ(in(call(101, 100, "sh")), A) << "its parent's, whatever v1 says";
}

TEST_F(LookupTest, UnreadableCgroupIsNotTheHost)
{
        open();
        tree.put(100, member(20));
        tree.put(101, host(100, "sh"));
        std::filesystem::remove(tree.proc_root + "/101/cgroup");
        std::filesystem::create_directory(tree.proc_root + "/101/cgroup"); /* EISDIR stands for ENAMETOOLONG */
        EXPECT_EQ(in(call(101, 100, "sh")), A);
        tree.put(102, host(100, "sh"));
        tree.write(tree.proc_root + "/102/cgroup", "0::/" + std::string(100000, 'x') + "\n");
        EXPECT_EQ(in(call(102, 100, "sh")), A) << "longer than any that the kernel writes";
}

TEST_F(LookupTest, ExecAsksAnew)
{
        open();
        tree.put(100, host(20, "runc"));
        EXPECT_EQ(in(call(100, 20, "runc")), "");
        tree.put(100, member(20));
        EXPECT_EQ(in(call(100, 20, "runc")), "") << "cached";
        EXPECT_EQ(in(exec(100, 20)), A);
        EXPECT_EQ(in(call(100, 20)), A);

        cosmos_event e = {};
        e.type = COSMOS_EVENT_CALL;
        e.pid = 100;
        e.known = COSMOS_KNOWN_PID | COSMOS_KNOWN_RET;
        e.syscall = "execve";
        e.ret = -2;
        e.timestamp = now_ns();
        tree.put(100, member(30, B));
        EXPECT_EQ(in(feed(e)), A) << "one that failed does not";
        e.syscall = "execveat";
        e.ret = 0;
        EXPECT_EQ(in(feed(e)), B);
}

TEST_F(LookupTest, ExecOfAProcessThatIsGone)
{
        open();
        tree.put(100, member(20));
        call(100, 20);
        tree.end(100);
        EXPECT_EQ(in(exec(100, 1)), A);
        EXPECT_EQ(in(exec(200, 20, "true", "/bin/true")), A) << "never seen before: the shim's";
        EXPECT_EQ(in(exec(201, 20, "runc", "/usr/sbin/runc")), "");
}

TEST_F(LookupTest, TraceBeginsWithTheFirstExec)
{
        Proc p = member(20);
        std::vector<Out> out;

        open();
        p.comm = "runc:[2:INIT]";
        tree.put(100, p);
        for (int i = 0; i < 3; i++)
                EXPECT_TRUE(call(100, 20, "runc:[2:INIT]").empty());
        EXPECT_EQ(cosmos_resolver_count(resolver), 0u);
        pass_ns(2000000000);
        EXPECT_TRUE(call(100, 20, "runc:[2:INIT]").empty()) << "also when verified";
        /* The name in this event may still be the old one. */
        out = exec(100, 20, "runc:[2:INIT]");
        ASSERT_EQ(out.size(), 2u);
        EXPECT_EQ(out[0].event.type, COSMOS_EVENT_CONTAINER_START);
        EXPECT_STREQ(out[1].event.syscall, "execve");
        EXPECT_EQ(in(call(100, 20)), A);
        EXPECT_EQ(cosmos_resolver_count(resolver), 1u);
}

TEST_F(LookupTest, LateEventsOfTheInit)
{
        open();
        tree.put(100, member(20)); /* /proc shows the program already */
        EXPECT_TRUE(call(100, 20, "runc:[2:INIT]", 0.5).empty());
        EXPECT_EQ(in(exec(100, 20, "app", "/bin/app", 0.4)), A);
        tree.put(101, member(20));
        tree.end(101);
        EXPECT_TRUE(call(101, 20, "runc", 0.5).empty());
}

TEST_F(LookupTest, OtherRuntimes)
{
        open();
        for (const char *comm : {"runc", "crun", "conmon", "runc:[1:CHILD]"}) {
                tree.put(100, member(20));
                EXPECT_TRUE(call(100, 20, comm).empty()) << comm;
                pass_ns(2000000000);
                tree.put(100, member(20)); /* starts later: another process */
        }
        EXPECT_EQ(in(exec(100, 20)), A);
}

TEST_F(LookupTest, NameHidesNothingInside)
{
        open();
        tree.put(100, member(20));
        call(100, 20);
        for (const char *comm : {"runc:[2:INIT]", "runc", "crun", "conmon", "containerd-shim"}) {
                Proc p = member(100);

                p.comm = comm;
                tree.put(101, p);
                EXPECT_EQ(in(call(101, 100, comm)), A) << comm;
                pass_ns(2000000000);
                tree.put(101, p);
                EXPECT_EQ(in(call(101, 100, comm)), A) << comm;
                EXPECT_EQ(in(call(100, 20, comm)), A) << "its init renames itself to " << comm;
                EXPECT_EQ(in(exec(100, 20, comm, ("/bin/" + std::string(comm)).c_str())), A) << comm;
        }
        /* Nor where its parent is gone and was never heard of. */
        tree.put(102, member(1));
        EXPECT_EQ(in(call(102, 9999, "runc")), A);
        /* Nor where nothing is cached: the parent is in /proc. */
        tree.put(201, member(20, B));
        tree.put(202, member(201, B));
        EXPECT_EQ(in(call(202, 201, "runc")), B);
}

TEST_F(LookupTest, InitThatExecutesTheRuntimesCopyOfItself)
{
        Proc p = member(50);

        open();
        tree.put(50, host(20, "runc"));
        p.mounts = "host"; /* in the container's cgroup, not yet among its mounts */
        tree.put(100, p);
        EXPECT_TRUE(call(100, 50, "runc").empty());
        for (const char *exe : {"/usr/sbin/runc", "/", "/memfd:runc_cloned:/proc/self/exe (deleted)"}) {
                EXPECT_TRUE(exec(100, 50, "6", exe).empty()) << exe;
                EXPECT_TRUE(call(100, 50, "6").empty());
                EXPECT_TRUE(call(100, 50, "runc:[0:PARENT]").empty());
        }
        tree.end(100);
        EXPECT_TRUE(exec(100, 50, "6", "/").empty()) << "gone: by name";
        p.mounts = "inside";
        tree.put(100, p);
        pass_ns(2000000000);
        EXPECT_EQ(in(exec(100, 50, "runc", "/usr/bin/runc")), A) << "an image whose program is a runc";
}

TEST_F(LookupTest, ExecOfARuntimeByAMemberHidesNothing)
{
        open();
        tree.put(100, member(20)); /* a docker exec'd shell: its parent is outside */
        EXPECT_EQ(in(exec(100, 20, "sh", "/bin/sh")), A);
        tree.end(100); /* quickly gone: nothing but names to go by */
        EXPECT_EQ(in(exec(100, 20, "runc", "/tmp/runc")), A);
        EXPECT_EQ(in(call(101, 100, "runc")), A);
}

TEST_F(LookupTest, WhatTheInitForksIsNotTheContainers)
{
        Proc p = member(20), child = member(100);

        open();
        p.comm = child.comm = "runc:[2:INIT]";
        tree.put(100, p);
        tree.put(101, child);
        EXPECT_TRUE(call(100, 20, "runc:[2:INIT]").empty());
        EXPECT_TRUE(call(101, 100, "runc:[2:INIT]").empty());
        EXPECT_EQ(in(exec(101, 100, "hook", "/hook")), A) << "the first program that is executed inside";
        EXPECT_TRUE(call(100, 20, "runc:[2:INIT]").empty()) << "which is not the init's";
}

TEST_F(LookupTest, FoundAtTheStart)
{
        Proc app = member(20), renamed = member(20), init = member(20, B);

        renamed.comm = "runc:[2:INIT]"; /* but it has executed a program */
        init.comm = "runc:[2:INIT]";
        init.flags = 0x400040; /* PF_FORKNOEXEC */
        tree.docker(A, "db", "mariadb:11");
        tree.put(100, app);
        tree.put(101, renamed);
        tree.put(102, init);
        open();
        auto out = drain();
        ASSERT_EQ(out.size(), 1u);
        EXPECT_EQ(out[0].event.type, COSMOS_EVENT_CONTAINER_START);
        EXPECT_EQ(out[0].id, A);
        EXPECT_EQ(out[0].name, "db");
        EXPECT_NEAR((double)out[0].event.timestamp, (double)now_ns(), 5e9);
        EXPECT_EQ(cosmos_resolver_count(resolver), 1u);
        EXPECT_EQ(in(call(101, 20, "runc:[2:INIT]")), A);
        EXPECT_TRUE(call(102, 20, "runc:[2:INIT]").empty());
        EXPECT_EQ(in(exec(102, 20)), B);
}

TEST_F(LookupTest, FeedBeforeTheStartWasTaken)
{
        tree.put(100, member(20));
        open();
        auto out = call(100, 20);
        ASSERT_EQ(out.size(), 2u);
        EXPECT_EQ(out[0].event.type, COSMOS_EVENT_CONTAINER_START);
        EXPECT_EQ(out[1].event.type, COSMOS_EVENT_CALL);
}
