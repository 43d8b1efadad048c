/* SPDX-License-Identifier: Apache-2.0 */
/* Records as the kernel writes them, and as auditd logs them. */
#ifndef COSMOS_TEST_RECORDS_H
#define COSMOS_TEST_RECORDS_H

#include <string>

namespace records
{

inline const std::string SYSCALL =
    "arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=7ffd0a10 a2=80000 a3=0 items=1 ppid=4200 pid=4242 "
    "auid=4294967295 uid=999 gid=999 euid=999 suid=999 fsuid=999 egid=999 sgid=999 fsgid=999 tty=(none) "
    "ses=4294967295 comm=\"mariadbd\" exe=\"/usr/sbin/mariadbd\" key=(null)";
/* comm "my tool\n", exe "/tmp/my tool": in hexadecimal, since they have what a quoted value may not. */
inline const std::string SYSCALL_HEX =
    "arch=c000003e syscall=2 success=no exit=-2 a0=7f0000000000 a1=0 a2=1b6 a3=ffffffffffffffff items=1 ppid=1 pid=77 "
    "auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 comm=6D7920746F6F6C0A "
    "exe=2F746D702F6D7920746F6F6C subj=docker-default (enforce) key=\"cosmos\"";
inline const std::string SYSCALL_EXIT =
    "arch=c000003e syscall=231 a0=0 a1=3c a2=e7 a3=0 items=0 ppid=1 pid=78 auid=4294967295 uid=0 gid=0 euid=0 suid=0 "
    "fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 comm=\"sh\" exe=\"/usr/bin/dash\" key=(null)";
inline const std::string SYSCALL_I386 =
    "arch=40000003 syscall=295 success=yes exit=-4095 a0=ffffff9c a1=5663a008 a2=88000 a3=0 items=1 ppid=9 pid=10 "
    "auid=0 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=tty1 ses=1 comm=\"a32\" exe=\"/opt/a32\" "
    "key=(null)";
inline const std::string PATH = "item=0 name=\"/etc/my.cnf\" inode=131 dev=00:2d mode=0100644 ouid=0 ogid=0 rdev=00:00 "
                                "nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0";
inline const std::string PATH_HEX = "item=1 name=2F746D702F61206222 inode=5 dev=00:2d mode=0100600 ouid=0 ogid=0 "
                                    "rdev=00:00 nametype=CREATE cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0";
inline const std::string PATH_PARENT = "item=0 name=\"/tmp/\" inode=2 dev=00:2d mode=041777 ouid=0 ogid=0 rdev=00:00 "
                                       "nametype=PARENT cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0";
inline const std::string PATH_NULL = "item=0 name=(null) inode=9 dev=00:0d mode=010600 ouid=0 ogid=0 rdev=00:00 "
                                     "nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0";
inline const std::string EXECVE = "argc=3 a0=\"sh\" a1=\"-c\" a2=6C73202D6C";
inline const std::string EXECVE_PIECES = "argc=2 a0=\"cat\" a1_len=15 a1[0]=\"/very/lo\" a1[1]=\"ng/path\"";
inline const std::string INET = "saddr=02000050C00002010000000000000000";
inline const std::string INET6 = "saddr=0A0001BB0000000020010DB800000000000000000000000100000000";
inline const std::string UNIX = "saddr=01002F72756E2F6D7973716C642F6D7973716C642E736F636B00";
inline const std::string ABSTRACT = "saddr=0100006E616D65";
inline const std::string NETLINK = "saddr=100000000000000000000000";
inline const std::string PROCTITLE = "proctitle=7368002D63006C73202D6C";

/* As from netlink; as in audit.log. */
inline std::string head(const std::string &serial, const std::string &seconds = "1364481363.243")
{
        return "audit(" + seconds + ":" + serial + "): ";
}
inline std::string line(const std::string &type, const std::string &serial, const std::string &body,
                        const std::string &seconds = "1364481363.243")
{
        return "type=" + type + " msg=" + head(serial, seconds) + body;
}

} // namespace records

#endif
