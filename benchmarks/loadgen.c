/*
 * A known load: 60 % in 64 KiB folios, 25 % in 2 MiB folios, 15 % in 4 KiB pages, and children that share it.
 *
 * loadgen MIB [CHILDREN]     prints the truth as one JSON line, then waits for end of file on stdin
 *
 * Needs hugepages-64kB/enabled=madvise, hugepages-2048kB/enabled=madvise or inherit, all other sizes `never` (run.py sets
 * them and puts them back). Every number printed is arithmetic on what was asked of the kernel, never read from /proc.
 *
 * Parent: every 31st folio of 64 KiB has 1 to 15 of its pages dropped. Of every 17 blocks of 2 MiB one has its PMD split by
 * mprotect of a page, one loses every 4th page, one its second half; the others stay PMD-mapped.
 * Children: 1 shares all, 2 dropped the second half of each region, 3 rewrote the first eighth of the 4 KiB pages.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, MID_PAGES = 16, BIG_PAGES = 512, MID_STRIDE = 31, BIG_STRIDE = 17, MAX_CHILDREN = 3 };
#define BIG_BYTES ((size_t)BIG_PAGES * PAGE)
#define MID_BYTES ((size_t)MID_PAGES * PAGE)

enum role { PMD_MAPPED, PMD_SPLIT, EVERY_FOURTH_DROPPED, HALF_DROPPED };

struct region {
	const char *name;
	char *start;
	size_t bytes;
};

static struct region mid = { .name = "64kB" }, big = { .name = "2048kB" }, small = { .name = "4kB" };

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned mid_dropped(size_t folio)
{
	return folio % MID_STRIDE == 3 ? 1 + (folio / MID_STRIDE) % (MID_PAGES - 1) : 0;
}

static enum role big_role(size_t block)
{
	switch (block % BIG_STRIDE) {
	case 3: return PMD_SPLIT;
	case 7: return EVERY_FOURTH_DROPPED;
	case 11: return HALF_DROPPED;
	default: return PMD_MAPPED;
	}
}

static unsigned big_dropped(size_t block)
{
	switch (big_role(block)) {
	case EVERY_FOURTH_DROPPED: return BIG_PAGES / 4;
	case HALF_DROPPED: return BIG_PAGES / 2;
	default: return 0;
	}
}

/* Map `bytes` at a multiple of 2 MiB, with inaccessible space around it so that the kernel joins no two regions. */
static void map_region(struct region *r, size_t bytes)
{
	char *raw = mmap(NULL, bytes + 2 * BIG_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(raw != MAP_FAILED, "mmap");
	r->start = (char *)(((uintptr_t)raw + BIG_BYTES) & ~(BIG_BYTES - 1));
	r->bytes = bytes;
	check(mprotect(r->start, bytes, PROT_READ | PROT_WRITE) == 0, "mprotect");
}

/* Not zero: zero-filled pages count as underused, and the kernel may split such folios. */
static void touch(char *from, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += PAGE)
		*(volatile uint64_t *)(from + at) = (uintptr_t)(from + at) | 1;
}

static void advise(char *from, size_t bytes, int advice, const char *what)
{
	check(madvise(from, bytes, advice) == 0, what);
}

static void drop(char *from, size_t bytes)
{
	advise(from, bytes, MADV_DONTNEED, "MADV_DONTNEED");
}

/*
 * Half of 2 MiB at a time: no VMA that allows large folios ever spans an aligned 2 MiB, so neither a fault nor khugepaged
 * can make one of that size. The VMAs are one again at the end, since their flags are alike.
 */
static void fill_mid(void)
{
	advise(mid.start, mid.bytes, MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE");
	for (size_t at = 0; at < mid.bytes; at += BIG_BYTES / 2) {
		advise(mid.start + at, BIG_BYTES / 2, MADV_HUGEPAGE, "MADV_HUGEPAGE");
		touch(mid.start + at, BIG_BYTES / 2);
		advise(mid.start + at, BIG_BYTES / 2, MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE");
	}
	for (size_t folio = 0; folio < mid.bytes / MID_BYTES; folio++) {
		unsigned pages = mid_dropped(folio), first = folio % 2 ? MID_PAGES - pages : (MID_PAGES - pages) / 2;
		if (pages)
			drop(mid.start + folio * MID_BYTES + (size_t)first * PAGE, (size_t)pages * PAGE);
	}
}

/* MADV_NOHUGEPAGE afterwards keeps khugepaged from filling again what is dropped. */
static void fill_big(void)
{
	advise(big.start, big.bytes, MADV_HUGEPAGE, "MADV_HUGEPAGE");
	touch(big.start, big.bytes);
	advise(big.start, big.bytes, MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE");
	for (size_t block = 0; block < big.bytes / BIG_BYTES; block++) {
		char *start = big.start + block * BIG_BYTES;
		switch (big_role(block)) {
		case PMD_SPLIT:
			check(mprotect(start + 5 * PAGE, PAGE, PROT_READ) == 0, "mprotect");
			break;
		case EVERY_FOURTH_DROPPED:
			for (unsigned page = 0; page < BIG_PAGES; page += 4)
				drop(start + (size_t)page * PAGE, PAGE);
			break;
		case HALF_DROPPED:
			drop(start + BIG_BYTES / 2, BIG_BYTES / 2);
			break;
		default:
			break;
		}
	}
}

static void fill_small(void)
{
	advise(small.start, small.bytes, MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE");
	touch(small.start, small.bytes);
}

/* Where the half that child 2 keeps ends: a multiple of 2 MiB, so that no folio is cut. */
static size_t kept_bytes(const struct region *r)
{
	return r->bytes / 2 / BIG_BYTES * BIG_BYTES;
}

static size_t rewritten_bytes(void)
{
	return small.bytes / 8 / PAGE * PAGE;
}

static void child_main(unsigned child, int ready, int parent_alive)
{
	char byte = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (child == 2) {
		drop(mid.start + kept_bytes(&mid), mid.bytes - kept_bytes(&mid));
		drop(big.start + kept_bytes(&big), big.bytes - kept_bytes(&big));
		drop(small.start + kept_bytes(&small), small.bytes - kept_bytes(&small));
	} else if (child == 3) {
		touch(small.start, rewritten_bytes());
	}
	check(write(ready, &byte, 1) == 1, "write");
	close(ready);
	while (read(parent_alive, &byte, 1) > 0)
		;
	_exit(0);
}

struct totals {
	size_t pages, pmd_pages;
};

/* What a process that kept the first part of each region maps. */
static struct totals mapped(size_t mid_bytes, size_t big_bytes, size_t small_bytes)
{
	struct totals t = { .pages = small_bytes / PAGE };

	for (size_t folio = 0; folio < mid_bytes / MID_BYTES; folio++)
		t.pages += MID_PAGES - mid_dropped(folio);
	for (size_t block = 0; block < big_bytes / BIG_BYTES; block++) {
		t.pages += BIG_PAGES - big_dropped(block);
		t.pmd_pages += big_role(block) == PMD_MAPPED ? BIG_PAGES : 0;
	}
	return t;
}

static void print_order(unsigned order, size_t folios, unsigned (*dropped)(size_t))
{
	size_t partial = 0, unmapped = 0;

	for (size_t i = 0; i < folios; i++) {
		partial += dropped(i) > 0;
		unmapped += dropped(i);
	}
	printf(", \"order%u\": {\"folios\": %zu, \"partially_mapped\": %zu, \"wasted_pages\": %zu}", order, folios, partial,
	       unmapped);
}

static void print_region(const struct region *r, const char *after)
{
	printf("{\"name\": \"%s\", \"start\": %zu, \"end\": %zu}%s", r->name, (size_t)r->start, (size_t)r->start + r->bytes,
	       after);
}

static void print_truth(const pid_t *pids, unsigned children)
{
	printf("{\"processes\": [");
	for (unsigned i = 0; i <= children; i++) {
		struct totals t = i == 2 ? mapped(kept_bytes(&mid), kept_bytes(&big), kept_bytes(&small)) :
					   mapped(mid.bytes, big.bytes, small.bytes);
		printf("%s{\"pid\": %d, \"mapped_pages\": %zu, \"pmd_mapped_pages\": %zu}", i ? ", " : "", pids[i], t.pages,
		       t.pmd_pages);
	}
	printf("], \"regions\": [");
	print_region(&mid, ", ");
	print_region(&big, ", ");
	print_region(&small, "]");
	print_order(4, mid.bytes / MID_BYTES, mid_dropped);
	print_order(9, big.bytes / BIG_BYTES, big_dropped);
	printf(", \"order0\": {\"folios\": %zu, \"partially_mapped\": 0, \"wasted_pages\": 0}}\n",
	       small.bytes / PAGE + (children >= 3 ? rewritten_bytes() / PAGE : 0));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	size_t bytes = argc > 1 ? strtoull(argv[1], NULL, 10) << 20 : 0;
	unsigned children = argc > 2 ? strtoul(argv[2], NULL, 10) : MAX_CHILDREN;
	pid_t pids[1 + MAX_CHILDREN];
	int ready[2], alive[2];
	char byte;

	if (bytes < 64 * BIG_BYTES || children > MAX_CHILDREN) {
		fprintf(stderr, "usage: loadgen MIB [CHILDREN]   (at least 128 MiB, at most %d children)\n", MAX_CHILDREN);
		return 2;
	}
	map_region(&mid, bytes * 60 / 100 / BIG_BYTES * BIG_BYTES);
	map_region(&big, bytes * 25 / 100 / BIG_BYTES * BIG_BYTES);
	map_region(&small, bytes - mid.bytes - big.bytes);
	fill_mid();
	fill_big();
	fill_small();

	check(pipe(ready) == 0 && pipe(alive) == 0, "pipe");
	pids[0] = getpid();
	for (unsigned child = 1; child <= children; child++) {
		pids[child] = fork();
		check(pids[child] >= 0, "fork");
		if (pids[child] == 0) {
			close(alive[1]);
			child_main(child, ready[1], alive[0]);
		}
	}
	close(ready[1]);
	for (unsigned child = 1; child <= children; child++)
		check(read(ready[0], &byte, 1) == 1, "a child failed");

	print_truth(pids, children);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	close(alive[1]);
	while (wait(NULL) > 0)
		;
	return 0;
}
