// SPDX-License-Identifier: MIT
@HEAD@

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef MAP_HUGE_1GB
#define MAP_HUGE_2MB (21 << 26)
#define MAP_HUGE_1GB (30 << 26)
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define PAGE 4096UL
#define AREA(letter, page) ((@AREA_BASE@UL + (letter - 'a') * @AREA_BYTES@UL) + (page) * PAGE)
#define THP "/sys/kernel/mm/transparent_hugepage/"
#define LIMIT_S 120

enum { NR_PROCESSES = @NR_PROCESSES@, NR_TESTS = @NR_TESTS@, MAX_SETTINGS = 128, FOLIO_PAGES = @FOLIO_PAGES@ };

/* ---- The processes. Each waits for the number of a step, does it, and answers. ---- */

static const char *const name_of[NR_PROCESSES] = { @NAMES@ };
static int command[NR_PROCESSES][2], reply[2];
static pid_t pid_of[NR_PROCESSES], director;
static sigjmp_buf fault;
static const int handled[] = { SIGHUP, SIGINT, SIGTERM, SIGALRM };

static void on_fault(int number)
{
	siglongjmp(fault, number);
}

static long status(long result)
{
	return result < 0 ? -errno : 0;
}

static inline long map(unsigned long address, unsigned long pages, int flags, int file, unsigned long file_page, int advice)
{
	void *at = mmap((void *)address, pages * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE | flags, file,
			(off_t)(file_page * PAGE));

	if (at == MAP_FAILED)
		return -errno;
	return advice ? status(madvise(at, pages * PAGE, advice)) : 0;
}

static inline long move(unsigned long address, unsigned long pages, unsigned long to)
{
	void *at = mremap((void *)address, pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)to);

	return at == MAP_FAILED ? -errno : 0;
}

static inline long make_file(int *file, const char *name, unsigned long pages)
{
	*file = memfd_create(name, 0);
	return *file < 0 ? -errno : status(ftruncate(*file, (off_t)(pages * PAGE)));
}

static __attribute__((noinline)) void touch(unsigned long address, unsigned long pages, int write)
{
	for (unsigned long page = 0; page < pages; page++) {
		volatile char *at = (volatile char *)(address + page * PAGE);

		if (write)
			*at = 1;
		else
			(void)*at;
	}
}

static inline long access_pages(unsigned long address, unsigned long pages, int write)
{
	if (sigsetjmp(fault, 1))
		return -EFAULT;
	touch(address, pages, write);
	return (long)pages;
}

@HELPERS@
static long fork_as(int slot);

static long perform(int step)
{
	switch (step) {
@PERFORM@
	}
	return -ENOSYS;
}

static void serve(int slot)
{
	int step;

	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	/* The other end is closed when the director is gone. */
	while (read(command[slot][0], &step, sizeof(step)) == (ssize_t)sizeof(step)) {
		long result = perform(step);

		if (write(reply[1], &result, sizeof(result)) != (ssize_t)sizeof(result))
			break;
	}
	_exit(1);
}

/* In the first process: what it was given by the director and must not have. */
static void leave_director(void)
{
	for (int slot = 0; slot < NR_PROCESSES; slot++)
		close(command[slot][1]);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		signal(handled[i], SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
}

static long fork_as(int slot)
{
	pid_t pid = fork();

	if (pid)
		return pid < 0 ? -errno : pid;
	if (!slot)
		leave_director();
	serve(slot);
	return 0;
}

/* ---- Settings, put back at the end. ---- */

static struct {
	char path[256], value[64];
} saved[MAX_SETTINGS];
static int nr_saved;

static void write_file(const char *path, const char *value)
{
	int file = open(path, O_WRONLY);

	if (file < 0 || write(file, value, strlen(value)) < 0)
		printf("# %s cannot be written\n", path);
	if (file >= 0)
		close(file);
}

static void put_back(void)
{
	if (getpid() != director)
		return;
	while (nr_saved) {
		nr_saved--;
		write_file(saved[nr_saved].path, saved[nr_saved].value);
	}
}

static void on_signal(int number)
{
	put_back();
	_exit(128 + number);
}

/* Read a setting, of several words the one in brackets. */
static int read_setting(const char *path, char *value, size_t size)
{
	int file = open(path, O_RDONLY);
	ssize_t got = file < 0 ? -1 : read(file, value, size - 1);
	char *open_at, *close_at;

	if (file >= 0)
		close(file);
	if (got < 0)
		return 0;
	value[got] = 0;
	value[strcspn(value, "\n")] = 0;
	open_at = strchr(value, '[');
	close_at = open_at ? strchr(open_at, ']') : NULL;
	if (close_at) {
		*close_at = 0;
		memmove(value, open_at + 1, strlen(open_at + 1) + 1);
	}
	return 1;
}

static void skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(4);
}

/* Put back at the end what a setting is now. */
static void keep(const char *path, const char *now)
{
	if (nr_saved == MAX_SETTINGS)
		skip_all("more settings than there is room for");
	snprintf(saved[nr_saved].path, sizeof(saved[0].path), "%s", path);
	snprintf(saved[nr_saved].value, sizeof(saved[0].value), "%s", now);
	nr_saved++;
}

static void set(const char *path, const char *value, int needed)
{
	char now[64], why[512];

	if (!read_setting(path, now, sizeof(now))) {
		snprintf(why, sizeof(why), "this kernel has no %s", path);
		if (needed)
			skip_all(why);
		return;
	}
	if (!strcmp(now, value))
		return;
	if (geteuid()) {
		snprintf(why, sizeof(why), "%s is %s and must be %s: run as root", path, now, value);
		skip_all(why);
	}
	keep(path, now);
	write_file(path, value);
	if (needed && (!read_setting(path, now, sizeof(now)) || strcmp(now, value))) {
		snprintf(why, sizeof(why), "%s cannot be set to %s", path, value);
		skip_all(why);
	}
}

/* Switch a kind of memory off in all sizes; what is wanted is switched on after that. */
static inline void set_all(const char *pattern, const char *pmd_file)
{
	glob_t found;

	if (!glob(pattern, 0, NULL, &found))
		for (size_t i = 0; i < found.gl_pathc; i++)
			set(found.gl_pathv[i], strcmp(found.gl_pathv[i], pmd_file) ? "never" : "inherit", 0);
	globfree(&found);
}

static inline void need_swap(void)
{
	char line[256];
	int lines = 0;
	FILE *swaps = fopen("/proc/swaps", "r");

	while (swaps && fgets(line, sizeof(line), swaps))
		lines++;
	if (swaps)
		fclose(swaps);
	if (lines < 2)
		skip_all("there is no swap");
}

static void apply_settings(void)
{
	char now[64];

	/* The kernel raises it when huge pages are switched on, and does not lower it again. */
	if (!geteuid() && read_setting("/proc/sys/vm/min_free_kbytes", now, sizeof(now)))
		keep("/proc/sys/vm/min_free_kbytes", now);
@SETTINGS@
}

/* ---- What /proc shows. ---- */

static const struct {
	char letter;
	unsigned long first, end;
} areas[] = { @AREAS@ };

enum { ANON = 12, COMPOUND_HEAD = 15, COMPOUND_TAIL = 16, HUGE = 17, KSM = 21, ZERO_PAGE = 24 };

static int counts = -1, flags = -1, exact = 1, nr_test, nr_failed;
static long last_result;

static uint64_t word_at(int file, uint64_t number)
{
	uint64_t value = 0;

	if (pread(file, &value, sizeof(value), (off_t)(number * sizeof(value))) != (ssize_t)sizeof(value))
		return 0;
	return value;
}

/* Frame at an address of a process; 0 if nothing is mapped there, or the zero page. */
static uint64_t frame_at(int pagemap, unsigned long address)
{
	uint64_t entry = word_at(pagemap, address / PAGE), frame = entry & ((1ULL << 55) - 1);

	if (!(entry >> 63) || word_at(flags, frame) >> ZERO_PAGE & 1)
		return 0;
	return frame;
}

static int open_pagemap(int slot)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid_of[slot]);
	return open(path, O_RDONLY);
}

static int folio_of(uint64_t frame, uint64_t *head)
{
	int pages = 1;

	while (word_at(flags, frame) >> COMPOUND_TAIL & 1)
		frame--;
	*head = frame;
	if (word_at(flags, frame) >> COMPOUND_HEAD & 1)
		while (pages < FOLIO_PAGES && word_at(flags, frame + pages) >> COMPOUND_TAIL & 1)
			pages++;
	return pages;
}

static void runs_text(uint64_t head, int pages, char *text, size_t size)
{
	size_t at = 0;

	for (int page = 0, end; page < pages && at < size - 32; page = end) {
		uint64_t count = word_at(counts, head + page);

		for (end = page; end < pages && word_at(counts, head + end) == count;)
			end++;
		at += (size_t)snprintf(text + at, size - at, "%s%llu*%d", at ? " " : "", (unsigned long long)count, end - page);
	}
}

static int nr_mappers(uint64_t head, int pages)
{
	int mappers = 0;

	for (int slot = 0; slot < NR_PROCESSES; slot++) {
		int pagemap = pid_of[slot] ? open_pagemap(slot) : -1, maps = 0;

		for (size_t i = 0; pagemap >= 0 && i < sizeof(areas) / sizeof(areas[0]); i++)
			for (unsigned long page = areas[i].first; !maps && page < areas[i].end; page++) {
				uint64_t frame = frame_at(pagemap, AREA(areas[i].letter, page));

				maps = frame >= head && frame < head + pages;
			}
		if (pagemap >= 0)
			close(pagemap);
		mappers += maps;
	}
	return mappers;
}

static const char *kind_of(uint64_t head)
{
	uint64_t flag = word_at(flags, head);

	return flag >> HUGE & 1 ? "hugetlb" : flag >> KSM & 1 ? "ksm" : flag >> ANON & 1 ? "anon" : "shmem";
}

/* Print the counts of large folios as far as they are mapped; of small ones there may be many. */
static void show(void)
{
	char text[16384];

	for (int slot = 0; counts >= 0 && slot < NR_PROCESSES; slot++) {
		int pagemap = pid_of[slot] ? open_pagemap(slot) : -1;
		uint64_t shown = 0, shown_end = 0;

		for (size_t i = 0; pagemap >= 0 && i < sizeof(areas) / sizeof(areas[0]); i++)
			for (unsigned long page = areas[i].first; page < areas[i].end; page++) {
				uint64_t frame = frame_at(pagemap, AREA(areas[i].letter, page)), head;
				int pages;

				if (!frame || (frame >= shown && frame < shown_end))
					continue;
				pages = folio_of(frame, &head);
				if (pages == 1)
					continue;
				shown = head;
				shown_end = head + pages;
				runs_text(head, pages, text, sizeof(text));
				printf("#   %s %c[%lu]: folio of %d pages, kpagecount %s\n", name_of[slot], areas[i].letter, page,
				       pages, text);
			}
		if (pagemap >= 0)
			close(pagemap);
	}
}

#define yes_if(holds) ((holds) ? "yes" : "no")

/* Return what /proc says of a page, NULL if it does not say it. */
static const char *look(const char *what, uint64_t frame, char *text, size_t size)
{
	uint64_t head;
	int pages = folio_of(frame, &head), mapped = 0;

	if (!strcmp(what, "one_mm"))
		return yes_if(nr_mappers(head, pages) == 1);
	if (!strcmp(what, "mapped_shared"))
		return yes_if(nr_mappers(head, pages) > 1);
	if (!strcmp(what, "kind"))
		return kind_of(head);
	if (!strcmp(what, "order")) {
		snprintf(text, size, "%d", __builtin_ctz((unsigned int)pages));
		return text;
	}
	runs_text(head, pages, text, size);
	if (!strcmp(what, "kpagecount"))
		return text;
	if (!exact && pages > 1)
		return NULL;
	if (!strcmp(what, "mapcount"))
		return text;
	for (int page = 0; page < pages; page++)
		mapped += word_at(counts, head + page) > 0;
	if (!strcmp(what, "mapped_once"))
		return yes_if(word_at(counts, frame) == 1);
	if (!strcmp(what, "partially_mapped"))
		return yes_if(mapped < pages);
	if (!strcmp(what, "mapped_pages")) {
		snprintf(text, size, "%d", mapped);
		return text;
	}
	return NULL;
}

/* One test: what of the page at an address, in the table of a process, or (-1) of the first one that maps it. */
static inline void expect(int wanted_slot, unsigned long address, const char *what, const char *value, const char *line)
{
	char text[16384];
	const char *found = NULL, *why = "/proc does not show it";
	uint64_t frame = 0;

	nr_test++;
	if (!strcmp(what, "result")) {
		snprintf(text, sizeof(text), "%ld", last_result);
		found = text;
	} else if (counts < 0) {
		why = "/proc/kpagecount and /proc/kpageflags are for root";
	} else {
		for (int slot = 0; !frame && slot < NR_PROCESSES; slot++) {
			int pagemap = pid_of[slot] && (wanted_slot < 0 || slot == wanted_slot) ? open_pagemap(slot) : -1;

			if (pagemap < 0)
				continue;
			frame = frame_at(pagemap, address);
			close(pagemap);
		}
		if (!strcmp(what, "mapped"))
			found = yes_if(frame != 0);
		else
			found = frame ? look(what, frame, text, sizeof(text)) : "nothing mapped there";
	}
	if (!found) {
		printf("ok %d %s # SKIP %s\n", nr_test, line, why);
		return;
	}
	/* A folio of one page may be said without its length. */
	if (strcmp(found, value) && !(strlen(found) == strlen(value) + 2 && !strncmp(found, value, strlen(value)) &&
				      !strcmp(found + strlen(value), "*1"))) {
		nr_failed++;
		printf("not ok %d %s\n# found %s\n", nr_test, line, found);
		return;
	}
	printf("ok %d %s\n", nr_test, line);
}

/* ---- The steps, in order. ---- */

static void await_exit(int slot)
{
	/* Nobody waits for children here (SIGCHLD is ignored): a pid is free when the process is gone. */
	while (!kill(pid_of[slot], 0))
		usleep(1000);
	pid_of[slot] = 0;
}

static void ask(int slot, int step, const char *line)
{
	if (write(command[slot][1], &step, sizeof(step)) != (ssize_t)sizeof(step) ||
	    read(reply[0], &last_result, sizeof(last_result)) != (ssize_t)sizeof(last_result)) {
		printf("Bail out! %s did not answer: %s\n", name_of[slot], line);
		exit(1);
	}
}

static void done(const char *line)
{
	printf("# %s = %ld\n", line, last_result);
	show();
}

static inline void step(int slot, int number, const char *line)
{
	ask(slot, number, line);
	done(line);
}

static inline void step_fork(int slot, int number, int child, const char *line)
{
	ask(slot, number, line);
	if (last_result < 0) {
		printf("Bail out! %s: %s\n", line, strerror((int)-last_result));
		exit(1);
	}
	pid_of[child] = (pid_t)last_result;
	last_result = 0;
	done(line);
}

static inline void step_exit(int slot, const char *line)
{
	close(command[slot][1]);
	await_exit(slot);
	last_result = 0;
	done(line);
}

static inline void step_reclaim(void)
{
	int file = open("/proc/sys/vm/drop_caches", O_WRONLY);

	last_result = file < 0 || write(file, "2", 1) < 0 ? -errno : 0;
	if (file >= 0)
		close(file);
	done("reclaim");
}

static void scenario(void)
{
@SCENARIO@
}

static void look_at_kernel(void)
{
	struct utsname kernel;
	char path[512], line[512];
	FILE *config;

	if (geteuid())
		return;
	counts = open("/proc/kpagecount", O_RDONLY);
	flags = open("/proc/kpageflags", O_RDONLY);
	if (flags < 0)
		counts = -1;
	uname(&kernel);
	snprintf(path, sizeof(path), "/boot/config-%s", kernel.release);
	config = fopen(path, "r");
	/* Without counts per page kpagecount is the mean of a large folio. */
	while (config && fgets(line, sizeof(line), config))
		if (!strcmp(line, "CONFIG_NO_PAGE_MAPCOUNT=y\n"))
			exact = 0;
	if (config)
		fclose(config);
}

static void start_first(void)
{
	long pid;

	if (pipe(reply))
		exit(1);
	for (int slot = 0; slot < NR_PROCESSES; slot++)
		if (pipe(command[slot]))
			exit(1);
	fflush(stdout);
	pid = fork_as(0);
	if (pid < 0)
		exit(1);
	pid_of[0] = (pid_t)pid;
	close(reply[1]);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("TAP version 13");
	director = getpid();
	atexit(put_back);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		signal(handled[i], on_signal);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	/* A process whose parent has exited is ours then. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	alarm(LIMIT_S);
	look_at_kernel();
	apply_settings();
	start_first();
	printf("1..%d\n", NR_TESTS);
	scenario();
	return nr_failed != 0;
}
