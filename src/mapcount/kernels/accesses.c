/*
 * QEMU TCG plugin: which words of struct pages does the guest's kernel load and store, in which order, and by which code?
 *
 *	-plugin ./accesses.so,log=FILE,ram=NAME,pages=131072,records=1048576
 *
 * `log` is shared with plugin.py, which switches the logging on and off and reads it: a control block, function entries to be
 * marked, records, counts. `ram` is the file behind the guest's RAM: a path, or the name of a memfd that QEMU has open. The plugin interface of QEMU 7.2 has no values: they are
 * read from there right after the access. With one CPU nobody else can have changed them meanwhile, and LOCKed instructions
 * are carried out as a load and a store with a callback each, so that both their old and their new value are seen.
 *
 * Only the kernel's instructions are instrumented. Stores by devices are not seen.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Version 1 of the plugin interface, as far as it is used: distributions ship no qemu-plugin.h. */
typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_info_t;
struct qemu_plugin_hwaddr;
struct qemu_plugin_insn;
struct qemu_plugin_tb;
typedef void (*trans_cb)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*exec_cb)(unsigned, void *);
typedef void (*mem_cb)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *);
enum { NO_REGISTERS = 0, READ_AND_WRITE = 3 };
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);
extern unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t);
extern struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t, uint64_t);
extern uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, trans_cb);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, exec_cb, int, void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, mem_cb, int, int, void *);
#define EXPORTED __attribute__((visibility("default")))
EXPORTED int qemu_plugin_version = 1;

enum { STRUCT_PAGE = 64, WORDS = STRUCT_PAGE / 4, MARKS_AT = 4096, RECORDS_AT = 8192 };
enum { LOAD, STORE, LOCKED_LOAD, LOCKED_STORE, ENTRY };
enum { NO_BIT = 0xff };

struct control {
	uint64_t magic, on;
	uint64_t base;		/* address of struct page 0 */
	uint64_t first, end;	/* addresses of the struct pages that are logged */
	uint64_t loads;		/* whether loads are logged */
	uint64_t words;		/* bit w: the w-th 4 bytes of a struct page are logged */
	uint64_t sizes;		/* sum of the widths in bytes (1, 2, 4, 8) that are logged */
	uint64_t context;	/* offset in the accessed struct page of 4 bytes that go with each record */
	uint64_t count, lost;	/* records written; not written, as the log was full */
	uint64_t nr_pages, nr_records;
};

struct record {
	uint64_t pc, address, value;	/* value: just after the access */
	uint32_t context;
	uint8_t kind, size;
	uint8_t bit;		/* which bit, from bit 0 of the address, an instruction on one bit is about; NO_BIT for others */
	uint8_t pad;
};

/* What a callback has to know of an instruction. Lives as long as QEMU: no callback tells when translated code is dropped. */
struct site {
	uint64_t pc;
	bool locked;
	uint8_t bit;
};

static struct control *control;
static uint64_t *marks;		/* number, then ascending addresses of function entries */
static struct record *records;
static uint32_t *counts;	/* [2][nr_pages][WORDS]: plain stores, LOCKed accesses, whether switched on or not */
static const char *ram_name;
static const uint8_t *ram;
static uint64_t ram_size;

static int open_memfd(const char *name)
{
	char wanted[300], link[300], path[300];
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	int fd = -1;

	snprintf(wanted, sizeof(wanted), "/memfd:%s (deleted)", name);
	while (directory && fd < 0 && (entry = readdir(directory))) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		length = readlink(path, link, sizeof(link) - 1);
		link[length > 0 ? length : 0] = 0;
		if (!strcmp(link, wanted))
			fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (directory)
		closedir(directory);
	return fd;
}

/* Done at the first access that is logged: QEMU makes the file after it loads plugins. */
static bool map_ram(void)
{
	struct stat st;
	int fd = *ram_name == '/' ? open(ram_name, O_RDONLY | O_CLOEXEC) : open_memfd(ram_name);
	void *at = MAP_FAILED;

	if (fd >= 0 && !fstat(fd, &st))
		at = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (at == MAP_FAILED)
		return false;
	ram = at;
	ram_size = st.st_size;
	return true;
}

static void append(struct record record)
{
	if (control->count < control->nr_records)
		records[control->count++] = record;
	else
		control->lost++;
}

static void accessed(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
	const struct site *site = data;
	uint64_t offset = address - control->base, physical, inside;
	bool locked = site->locked, store = qemu_plugin_mem_is_store(info);
	struct record record = { .pc = site->pc, .address = address, .bit = site->bit };

	(void)cpu;
	record.size = 1u << qemu_plugin_mem_size_shift(info);
	if (offset >= control->nr_pages * STRUCT_PAGE)
		return;
	if (store)
		counts[offset / 4 + (locked ? control->nr_pages * WORDS : 0)]++;
	if (!control->on || address < control->first || address >= control->end)
		return;
	if ((!store && !control->loads && !locked) || !(control->words >> (offset / 4 % WORDS) & 1) ||
	    !(control->sizes & record.size))
		return;
	if (!ram && !map_ram()) {
		control->lost++;
		return;
	}
	record.kind = (locked ? LOCKED_LOAD : LOAD) + store;
	physical = qemu_plugin_hwaddr_phys_addr(qemu_plugin_get_hwaddr(info, address));
	inside = physical - address % STRUCT_PAGE + control->context;
	if (record.size <= 8 && physical + 8 <= ram_size)
		memcpy(&record.value, ram + physical, record.size);
	if (inside + 4 <= ram_size)
		memcpy(&record.context, ram + inside, 4);
	append(record);
}

static void entered(unsigned cpu, void *data)
{
	uint64_t pc = (uint64_t)data, low = 1, high = marks[0] + 1;

	(void)cpu;
	if (!control->on)
		return;
	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (marks[middle] < pc)
			low = middle + 1;
		else
			high = middle;
	}
	if (low <= marks[0] && marks[low] == pc)
		append((struct record){ .pc = pc, .kind = ENTRY, .bit = NO_BIT });
}

/* Which bit of its operand an x86 instruction with a constant sets, clears or changes: bts, btr, btc, or, and. */
static uint8_t bit_of(const uint8_t *opcode, size_t size)
{
	uint8_t last = opcode[size - 1];
	unsigned operation = size > 2 ? opcode[opcode[0] == 0x0f ? 2 : 1] >> 3 & 7 : 0;

	if (size > 3 && opcode[0] == 0x0f && opcode[1] == 0xba && operation >= 5)
		return last;
	if (size > 2 && opcode[0] == 0x80 && operation == 1 && __builtin_popcount(last) == 1)
		return __builtin_ctz(last);
	if (size > 2 && opcode[0] == 0x80 && operation == 4 && __builtin_popcount(last) == 7)
		return __builtin_ctz(~last);
	return NO_BIT;
}

static struct site *site_of(const struct qemu_plugin_insn *insn)
{
	const uint8_t *bytes = qemu_plugin_insn_data(insn);
	size_t i = 0, size = qemu_plugin_insn_size(insn);
	struct site *site = malloc(sizeof(*site));

	if (!site)
		abort();
	*site = (struct site){ .pc = qemu_plugin_insn_vaddr(insn), .bit = NO_BIT };
	for (; i < size && bytes[i] && strchr("\xf0\x2e\x36\x3e\x26\x64\x65\x66\x67\xf2\xf3", bytes[i]); i++)
		site->locked |= bytes[i] == 0xf0;
	if (i < size && (bytes[i] & 0xf0) == 0x40)	/* REX */
		i++;
	if (i < size) {
		site->locked |= bytes[i] == 0x86 || bytes[i] == 0x87;	/* xchg with memory needs no prefix */
		site->bit = bit_of(bytes + i, size - i);
	}
	return site;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	if (!(qemu_plugin_tb_vaddr(tb) >> 63))
		return;
	/* A function that is called begins a block: calls end blocks. */
	qemu_plugin_register_vcpu_tb_exec_cb(tb, entered, NO_REGISTERS, (void *)qemu_plugin_tb_vaddr(tb));
	for (size_t i = 0, n = qemu_plugin_tb_n_insns(tb); i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		qemu_plugin_register_vcpu_mem_cb(insn, accessed, NO_REGISTERS, READ_AND_WRITE, site_of(insn));
	}
}

static bool share(const char *path, uint64_t nr_pages, uint64_t nr_records)
{
	uint64_t counts_at = RECORDS_AT + nr_records * sizeof(struct record);
	uint64_t size = counts_at + 2 * nr_pages * STRUCT_PAGE;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint8_t *at;

	if (fd < 0 || ftruncate(fd, size))
		return false;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return false;
	control = (void *)at;
	marks = (void *)(at + MARKS_AT);
	records = (void *)(at + RECORDS_AT);
	counts = (void *)(at + counts_at);
	/* vmemmap begins here on x86-64 with four levels of page tables and without KASLR. */
	*control = (struct control){ .base = 0xffffea0000000000, .nr_pages = nr_pages, .nr_records = nr_records };
	control->magic = 0x737365636361;
	return true;
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv)
{
	uint64_t nr_pages = 131072, nr_records = 1 << 20;
	const char *log = NULL;

	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "log=", 4))
			log = argv[i] + 4;
		if (!strncmp(argv[i], "ram=", 4))
			ram_name = strdup(argv[i] + 4);	/* the arguments do not outlive this call */
		if (!strncmp(argv[i], "pages=", 6))
			nr_pages = strtoull(argv[i] + 6, NULL, 0);
		if (!strncmp(argv[i], "records=", 8))
			nr_records = strtoull(argv[i] + 8, NULL, 0);
	}
	if (!log || !ram_name || !share(log, nr_pages, nr_records))
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
