/* What accesses.c needs of QEMU, for a test that plays the processor: it translates an instruction, then tells of its accesses. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct qemu_plugin_hwaddr { uint64_t physical; };
struct qemu_plugin_insn { const void *data; size_t size; uint64_t address; void (*mem)(unsigned, uint32_t, uint64_t, void *); void *given; };
struct qemu_plugin_tb { struct qemu_plugin_insn insn; void (*exec)(unsigned, void *); void *given; };

static void (*translate_cb)(uint64_t, struct qemu_plugin_tb *);
static struct qemu_plugin_hwaddr hwaddr;
static uint64_t ram_at;

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb) { return tb ? 1 : 0; }
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb) { return tb->insn.address; }
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(struct qemu_plugin_tb *tb, size_t i) { return &tb->insn + i; }
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn) { return insn->data; }
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn) { return insn->size; }
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn) { return insn->address; }
bool qemu_plugin_mem_is_store(uint32_t info) { return info & 0x100; }
unsigned qemu_plugin_mem_size_shift(uint32_t info) { return info & 0xff; }
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *at) { return at->physical; }

struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t address)
{
	(void)info;
	hwaddr.physical = address - ram_at;
	return &hwaddr;
}

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*cb)(uint64_t, struct qemu_plugin_tb *))
{
	(void)id;
	translate_cb = cb;
}

void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*cb)(unsigned, void *), int flags, void *given)
{
	(void)flags;
	tb->exec = cb;
	tb->given = given;
}

void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, void (*cb)(unsigned, uint32_t, uint64_t, void *), int flags,
				      int rw, void *given)
{
	(void)flags;
	(void)rw;
	insn->mem = cb;
	insn->given = given;
}

/* For the test: `at` is the address that the first byte of RAM is mapped at. */
struct qemu_plugin_tb *translate(const void *bytes, size_t size, uint64_t address, uint64_t at)
{
	struct qemu_plugin_tb *tb = calloc(1, sizeof(*tb));

	ram_at = at;
	tb->insn = (struct qemu_plugin_insn){ .data = bytes, .size = size, .address = address };
	translate_cb(0, tb);
	return tb;
}

void execute(struct qemu_plugin_tb *tb)
{
	if (tb->exec)
		tb->exec(0, tb->given);
}

void tell(struct qemu_plugin_tb *tb, uint64_t address, unsigned size_shift, bool store)
{
	if (tb->insn.mem)
		tb->insn.mem(0, size_shift | (store ? 0x100 : 0), address, tb->insn.given);
}
