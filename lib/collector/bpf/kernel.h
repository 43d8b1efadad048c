/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * The few kernel types that the programs read, with only the members that they
 * read. Where these lie is found out when the programs are loaded (CO-RE), so
 * neither order nor size matters here, and the kernel that this was built on is
 * not the one that it runs on.
 *
 * Names and types as in Linux: include/linux/{sched,cgroup,kernfs,fs,mount}.h,
 * fs/mount.h, arch/x86/include/asm/ptrace.h.
 */
#ifndef COSMOS_BPF_KERNEL_H
#define COSMOS_BPF_KERNEL_H

#include <stdbool.h>

#define NULL ((void *)0)

typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;

/* What libbpf's headers call them. */
typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef uint64_t __u64;
typedef int16_t __s16;
typedef int32_t __s32;
typedef int64_t __s64;
typedef uint16_t __be16;
typedef uint32_t __be32;
typedef uint32_t __wsum;

/* include/uapi/linux/bpf.h */
enum bpf_map_type {
        BPF_MAP_TYPE_HASH = 1,
        BPF_MAP_TYPE_PERCPU_ARRAY = 6,
        BPF_MAP_TYPE_QUEUE = 22,
        BPF_MAP_TYPE_RINGBUF = 27,
        BPF_MAP_TYPE_TASK_STORAGE = 29,
};
enum {
        BPF_ANY = 0,
        BPF_NOEXIST = 1,
        BPF_F_NO_PREALLOC = 1,
        BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
        BPF_RB_NO_WAKEUP = 1,
        BPF_RB_FORCE_WAKEUP = 2,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
        unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

struct hlist_bl_node {
        struct hlist_bl_node *next, **pprev;
};

struct qstr {
        uint32_t len;
        const unsigned char *name;
};
struct dentry {
        struct hlist_bl_node d_hash;
        struct dentry *d_parent;
        struct qstr d_name;
};
struct vfsmount {
        struct dentry *mnt_root;
};
struct mount {
        struct mount *mnt_parent;
        struct dentry *mnt_mountpoint;
        struct vfsmount mnt;
};
struct path {
        struct vfsmount *mnt;
        struct dentry *dentry;
};
struct inode {
        uint16_t i_mode;
};
struct file {
        struct path f_path;
        struct inode *f_inode;
};
struct fdtable {
        unsigned int max_fds;
        struct file **fd;
};
struct files_struct {
        struct fdtable *fdt;
};
struct fs_struct {
        struct path root;
};

struct ns_common {
        unsigned int inum;
};
struct mnt_namespace {
        struct ns_common ns;
};
struct nsproxy {
        struct mnt_namespace *mnt_ns;
};

struct kernfs_node {
        const char *name;
        uint64_t id;
};
struct cgroup_root {
        int hierarchy_id;
};
struct cgroup;
struct cgroup_subsys_state {
        struct cgroup *cgroup;
        struct cgroup_subsys_state *parent;
};
struct cgroup {
        struct cgroup_subsys_state self;
        int level;
        struct kernfs_node *kn;
        struct cgroup_root *root;
};
struct css_set {
        struct cgroup_subsys_state *subsys[16];
        struct cgroup *dfl_cgrp;
};

typedef struct {
        uint32_t val;
} kuid_t;
struct cred {
        kuid_t uid;
};
struct mm_struct {
        unsigned long arg_start, arg_end;
        struct file *exe_file;
};
typedef struct {
        int counter;
} atomic_t;
struct signal_struct {
        atomic_t live;
        int nr_threads;
};
struct bpf_local_storage;
struct thread_info {
        uint32_t status;
};
struct task_struct {
        struct thread_info thread_info;
        unsigned int flags;
        int pid, tgid;
        struct task_struct *real_parent;
        struct task_struct *group_leader;
        uint64_t start_boottime;
        const struct cred *cred;
        char comm[16];
        struct fs_struct *fs;
        struct files_struct *files;
        struct nsproxy *nsproxy;
        struct signal_struct *signal;
        struct mm_struct *mm;
        struct css_set *cgroups;
        struct bpf_local_storage *bpf_storage;
};

struct linux_binprm {
        struct file *file;
};

struct seq_file;
struct bpf_iter_meta {
        struct seq_file *seq;
};
struct bpf_iter__task {
        struct bpf_iter_meta *meta;
        struct task_struct *task;
};

#pragma clang attribute pop

/* include/linux/sched.h */
#define PF_KTHREAD 0x00200000
#define PF_EXITING 0x00000004 /* its end has been told, or is about to be */
#define PF_IO_WORKER 0x00000010
/* arch/x86/include/asm/thread_info.h: this call is a 32-bit one */
#define TS_COMPAT 0x0002

#endif
