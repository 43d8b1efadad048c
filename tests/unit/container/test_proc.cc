/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

extern "C" {
#include "container/proc.h"
}

#include <cerrno>
#include <cstdlib>
#include <dirent.h>
#include <set>
#include <unistd.h>

class ProcTest : public ::testing::Test
{
      protected:
        void SetUp() override
        {
                ASSERT_EQ(cosmos__proc_open(&proc, tree.proc_root.c_str(), nullptr), 0);
        }

        ~ProcTest() override
        {
                cosmos__proc_close(&proc);
        }

        std::string docker_root(unsigned int n)
        {
                char *root = nullptr;
                int r = cosmos__proc_docker_root(&proc, 100, id.c_str(), n, &root);
                std::string result = r == 0 ? root : "(" + std::to_string(r) + ")";

                free(root);
                return result;
        }

        Tree tree;
        cosmos__proc proc = {};
        std::string id = make_id('a');
};

TEST_F(ProcTest, StatOfAnyName)
{
        const char *const names[] = {"app", "a b", ") S 1 2", "((", "))", "", "\n", ":) R 1 1 1"};
        struct cosmos__proc_stat stat;

        for (const char *name : names) {
                Proc p;

                p.comm = name;
                p.ppid = 77;
                p.start = 4242;
                p.flags = 0x400140;
                tree.put(5, p);
                ASSERT_EQ(cosmos__proc_stat(&proc, 5, &stat), 0) << name;
                EXPECT_EQ(stat.ppid, 77);
                EXPECT_EQ(stat.start, 4242u);
                EXPECT_EQ(stat.flags, 0x400140u);
                EXPECT_STREQ(stat.comm, name);
        }
        EXPECT_EQ(cosmos__proc_stat(&proc, 6, &stat), -ESRCH);
}

TEST_F(ProcTest, StatCutAnywhere)
{
        const std::string text = "5 (app) S 77 1 1 0 -1 4194624 0 0 0 0 0 0 0 0 20 0 1 0 4242 4096 1";
        struct cosmos__proc_stat stat;

        for (size_t n = 0; n < text.size(); n++) {
                int r = cosmos__proc_parse_stat(text.substr(0, n).c_str(), &stat);

                EXPECT_TRUE(r == 0 || r == -COSMOS_EFORMAT) << n;
                EXPECT_EQ(r == 0, n > text.find("4242")) << n;
        }
        EXPECT_EQ(cosmos__proc_parse_stat("5 (a) S 99999999999 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 1 1", &stat),
                  -COSMOS_EFORMAT);
        EXPECT_EQ(
            cosmos__proc_parse_stat("5 (a) S 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 99999999999999999999999 1", &stat),
            -COSMOS_EFORMAT);
}

TEST_F(ProcTest, StartTimeIsBounded)
{
        EXPECT_EQ(cosmos__proc_start_time(&proc, UINT64_MAX), INT64_MAX);
        int64_t start = cosmos__proc_start_time(&proc, (uint64_t)(boot_ns() / (1000000000 / sysconf(_SC_CLK_TCK))));
        EXPECT_LE(start, now_ns());
        EXPECT_GT(start, now_ns() - 100000000);
}

TEST_F(ProcTest, ShimId)
{
        char found[65];
        Proc p;

        p.cmdline = {"/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", id, "-address", "x"};
        tree.put(5, p);
        EXPECT_EQ(cosmos__proc_shim_id(&proc, 5, found), 0);
        EXPECT_EQ(found, id);
        p.cmdline = {"shim", "-id", "pod", "-id"};
        tree.put(5, p);
        EXPECT_EQ(cosmos__proc_shim_id(&proc, 5, found), -ENOENT);
        p.cmdline = {""};
        tree.put(5, p);
        EXPECT_EQ(cosmos__proc_shim_id(&proc, 5, found), -ENOENT);
        p.cmdline = {"shim", "-id", id, std::string(200000, 'x')};
        tree.put(5, p);
        EXPECT_LT(cosmos__proc_shim_id(&proc, 5, found), 0) << "nothing that large is a shim";
        EXPECT_EQ(cosmos__proc_shim_id(&proc, 6, found), -ESRCH);
}

TEST_F(ProcTest, Switches)
{
        uint64_t n;

        tree.put(5, {});
        tree.switches(5, 11, 3);
        EXPECT_EQ(cosmos__proc_switches(&proc, 5, &n), 0);
        EXPECT_EQ(n, 33u);
        EXPECT_EQ(cosmos__proc_switches(&proc, 6, &n), -ESRCH);
}

TEST_F(ProcTest, DockerRootFromMounts)
{
        std::string dir = tree.proc_root + "/100/mountinfo", self = tree.proc_root + "/self/mountinfo";

        EXPECT_EQ(docker_root(0), "(-3)");
        tree.write(dir, "1 0 0:30 / / rw - overlay overlay rw\n"
                        "2 1 8:3 /lib\\040docker/containers/" +
                            id +
                            "/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda3 rw\n"
                            "3 1 8:3 /other/containers/" +
                            id + "/hostname /etc/hostname rw - ext4 /dev/sda3 rw\n");
        tree.write(self, "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
                         "21 20 8:3 / /srv/big rw shared:1 - ext4 /dev/sda3 rw\n"
                         "22 20 8:3 /lib\\040docker /var/lib/docker2 rw - ext4 /dev/sda3 rw\n"
                         "23 20 8:3 /lib /mnt/not-above rw - ext4 /dev/sda3 rw\n");
        EXPECT_EQ(docker_root(0), "/lib docker");
        EXPECT_EQ(docker_root(1), "/srv/big/lib docker");
        EXPECT_EQ(docker_root(2), "/var/lib/docker2");
        EXPECT_EQ(docker_root(3), "(-2)");
        tree.write(dir, "nonsense\n\n1 2 3\n1 0 8:3 x/containers/" + id + "/hosts /etc/hosts rw - ext4 x rw\n");
        EXPECT_EQ(docker_root(0), "(-2)");
}

TEST_F(ProcTest, DockerRootIsAFileSystemOfItsOwn)
{
        tree.write(tree.proc_root + "/100/mountinfo",
                   "2 1 8:3 /containers/" + id + "/hosts /etc/hosts rw - ext4 /dev/sda3 rw\n");
        tree.write(tree.proc_root + "/self/mountinfo", "21 20 8:3 / /srv/docker rw - ext4 /dev/sda3 rw\n");
        EXPECT_EQ(docker_root(1), "/srv/docker");
}

TEST_F(ProcTest, ListsProcessesOnly)
{
        std::set<int32_t> pids;
        int32_t pid;
        DIR *dir;

        for (const char *name : {"1", "42", "self", "4x", "99999999999", "0", "sys"})
                tree.write(tree.proc_root + "/" + name + "/stat", "");
        dir = cosmos__proc_list(&proc);
        ASSERT_TRUE(dir);
        while ((pid = cosmos__proc_list_next(dir)))
                pids.insert(pid);
        closedir(dir);
        EXPECT_EQ(pids, (std::set<int32_t>{1, 42}));
}

TEST(Proc, WhereThereIsNone)
{
        cosmos__proc proc;
        cosmos_diag diag = {};

        EXPECT_EQ(cosmos__proc_open(&proc, "/nonexistent\x01", &diag), -ENOENT);
        EXPECT_NE(std::string(diag.text).find("/nonexistent\\x01"), std::string::npos) << diag.text;
}
