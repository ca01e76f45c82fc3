/* Counts the instructions that an emulated Arm64 process executes, all of them and by class.
 *
 *   qemu-aarch64 -plugin count_instructions.so,out=FILE PROGRAM ...
 *
 * The program sets a mark with getpriority(0x53514245, N), which fails harmlessly. At every mark
 * one line is appended to FILE, with the counts since the start of the process:
 *
 *   {"mark": N, "total": T, "dot": D, "matrix": M, "fmla": F}
 *
 * Counted are whole blocks of translated code as they are entered: exact, except that a block
 * which a signal or a fault cuts short counts in full. Every emulated thread adds to counters of
 * its own, so that no addition is lost; a mark sums them up.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "classes.h"
#include "qemu_api.h"

enum {
    SYSCALL_GETPRIORITY = 141, /* the generic Linux table, which arm64 uses */
    MARK = 0x53514245,
    MAXIMUM_THREADS = 1024,
    CACHE_LINE = 64,
};

/* Indexed by class; under OTHER lies the total, since what is in no class follows from it. */
struct counts {
    uint64_t of[CLASS_COUNT];
} __attribute__((aligned(CACHE_LINE)));

EXPORTED int qemu_plugin_version = 1;

static struct counts threads[MAXIMUM_THREADS];
static int output = -1;

static void fail(const char *message)
{
    fprintf(stderr, "count_instructions: %s\n", message);
    exit(1);
}

static void block_executed(unsigned int vcpu, void *data)
{
    const struct counts *block = data;

    if (vcpu >= MAXIMUM_THREADS) {
        fail("more threads than it has counters for");
    }
    /* One thread writes here; a relaxed store is a plain one that a mark may read meanwhile. */
    for (int class = 0; class < CLASS_COUNT; class++) {
        uint64_t *counter = &threads[vcpu].of[class];
        __atomic_store_n(counter, *counter + block->of[class], __ATOMIC_RELAXED);
    }
}

/* A description lives as long as the process: QEMU may keep the block's code that long. */
static void block_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    struct counts *described = aligned_alloc(CACHE_LINE, sizeof *described);

    (void)id;
    if (described == NULL) {
        fail("out of memory");
    }
    memset(described, 0, sizeof *described);
    size_t size = qemu_plugin_tb_n_insns(block);
    described->of[OTHER] = size;
    for (size_t i = 0; i < size; i++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof word);
        enum instruction_class class = classify(word);
        if (class != OTHER) {
            described->of[class]++;
        }
    }
    qemu_plugin_register_vcpu_tb_exec_cb(block, block_executed, QEMU_PLUGIN_CB_NO_REGS, described);
}

static void system_call(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1,
                        uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6,
                        uint64_t a7, uint64_t a8)
{
    uint64_t sums[CLASS_COUNT] = {0};
    char line[200];

    (void)id, (void)vcpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != SYSCALL_GETPRIORITY || a1 != MARK) {
        return;
    }
    for (int thread = 0; thread < MAXIMUM_THREADS; thread++) {
        for (int class = 0; class < CLASS_COUNT; class++) {
            sums[class] += __atomic_load_n(&threads[thread].of[class], __ATOMIC_RELAXED);
        }
    }
    int length = snprintf(line, sizeof line,
                          "{\"mark\": %" PRIu64 ", \"total\": %" PRIu64 ", \"dot\": %" PRIu64
                          ", \"matrix\": %" PRIu64 ", \"fmla\": %" PRIu64 "}\n",
                          a2, sums[OTHER], sums[DOT], sums[MATRIX], sums[FMLA]);
    if (write(output, line, (size_t)length) != length) {
        fail("the counts cannot be written");
    }
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc,
                                 char **argv)
{
    const char *file = NULL;

    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            file = argv[i] + 4;
        }
    }
    if (file == NULL || strcmp(info->target_name, "aarch64") != 0) {
        fprintf(stderr, "count_instructions: for qemu-aarch64, with out=FILE\n");
        return 1;
    }
    output = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (output < 0) {
        perror(file);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
    qemu_plugin_register_vcpu_syscall_cb(id, system_call);
    return 0;
}
