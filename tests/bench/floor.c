/* SPDX-License-Identifier: Apache-2.0 */
/* What no tracer of every call goes below: a program at sys_exit that returns at once. Until it is ended. */
#include <bpf/bpf.h>

#include <stdio.h>
#include <unistd.h>

int main(void)
{
        struct bpf_insn nothing[] = {
            {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
            {.code = BPF_JMP | BPF_EXIT},
        };
        int program = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "floor", "GPL", nothing, 2, NULL);

        if (program < 0 || bpf_raw_tracepoint_open("sys_exit", program) < 0) {
                perror("floor");
                return 2;
        }
        puts("on");
        fflush(stdout);
        pause();
}
