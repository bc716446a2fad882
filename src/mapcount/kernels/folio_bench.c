/*
 * One round of a benchmark of page-table work: `folio_bench ORDER MIB`. Private anonymous memory in folios of 2^ORDER
 * pages, all mapped by PTEs, and one operation after the other on all of it, each timed alone. Whoever runs it has allowed
 * that folio size, and no other, where madvise asks for it. A line for each: `NAME NANOSECONDS UNITS`, of pages, but for
 * `right`, which is pages in folios of that size and of all, and the words below that begin with `hot` and `line`.
 *
 *   fork       fork() of exclusive memory, less a fork() without it
 *   exit       munmap() in the child while the parent keeps the memory: rmap is told, nothing is freed
 *   cow        the child writes one byte to each page, which the parent keeps
 *   dontneed   MADV_DONTNEED of all of it; the folios are freed
 *   munmap     munmap() of it; the folios are freed
 *   fork-holes, exit-holes    as fork and exit after every other page was dropped: no two pages are next to each other, so
 *              even a kernel that batches calls rmap for each
 *   pmd-split  ORDER 9: mprotect() of a page under each PMD and back, less the same where PTEs map already
 *   hot-locked, hot-stores    LOCKed additions and plain stores to one line
 *   line-stores               one plain store to each line of as many lines as the memory has struct pages
 *
 * Time is this thread's CPU time: what else runs on the machine meanwhile is not in it, but what that does to caches is.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PMD = 2 << 20, PMD_ORDER = 9, HOT = 1 << 20 };
static const uint64_t PFN = (1ull << 55) - 1;
static size_t size;
static int order;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void told(const char *name, double ns, size_t units)
{
	printf("%s %.1f %zu\n", name, ns, units);
}

/* Rights of the first page of each PMD's range go and come back: a PMD is split, a page table is visited. */
static double visit(char *area)
{
	double begin = now();
	for (size_t at = 0; at < size; at += PMD)
		if (mprotect(area + at, PAGE, PROT_READ) || mprotect(area + at, PAGE, PROT_READ | PROT_WRITE))
			die("mprotect");
	return now() - begin;
}

static char *new_area(void)
{
	char *all = mmap(NULL, size + PMD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (all == MAP_FAILED)
		die("mmap");
	char *area = (char *)(((uintptr_t)all + PMD - 1) & -(uintptr_t)PMD);
	if (area != all)
		munmap(all, area - all);
	munmap(area + size, all + PMD - area);
	madvise(area, size, order ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (size_t at = 0; at < size; at += PAGE)
		area[at] = 1;
	if (order == PMD_ORDER) {
		double split = visit(area);
		told("pmd-split", split - visit(area), size / PAGE);
	}
	return area;
}

/* Pages in folios of the right size: consecutive frames from a head on, and behind the last tail no further tail. */
static size_t right_pages(const char *area)
{
	enum { HEAD = 15, TAIL = 16 };
	size_t all = size / PAGE, per = 1ul << order, right = 0;
	uint64_t *frames = malloc(all * sizeof *frames), flags[513];
	int pagemap = open("/proc/self/pagemap", O_RDONLY), kpageflags = open("/proc/kpageflags", O_RDONLY);
	if (!frames || pread(pagemap, frames, all * 8, (uintptr_t)area / PAGE * 8) != (ssize_t)(all * 8))
		die("/proc/self/pagemap");
	for (size_t at = 0; at < all; at += per) {
		uint64_t first = frames[at] & PFN;
		ssize_t got = pread(kpageflags, flags, (per + 1) * 8, first * 8);
		if (got < (ssize_t)(per * 8))
			die("/proc/kpageflags");
		int fits = order ? flags[0] >> HEAD & 1 : !(flags[0] >> HEAD & 3);
		for (size_t i = 1; i < per; i++)
			fits &= (frames[at + i] & PFN) == first + i && flags[i] >> TAIL & 1;
		if (order && got == (ssize_t)((per + 1) * 8))
			fits &= !(flags[per] >> TAIL & 1);
		right += fits ? per : 0;
	}
	close(pagemap);
	close(kpageflags);
	free(frames);
	return right;
}

/* Forks; the child does `what` to the area and its time goes into *child. Returns the time of fork() itself. */
static double forked(char *area, char what, double *child)
{
	double begin = now();
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		begin = now();
		if (what == 'w')
			for (size_t at = 0; at < size; at += PAGE)
				area[at] = 2;
		else if (what == 'u' && munmap(area, size))
			_exit(1);
		*child = now() - begin;
		_exit(0);
	}
	double took = now() - begin;
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die("fork");
	return took;
}

static void lines(void)
{
	size_t count = size / PAGE;
	volatile int *memory = aligned_alloc(64, count * 64);
	if (!memory)
		die("aligned_alloc");
	memset((void *)memory, 0, count * 64);
	double begin = now();
	for (int i = 0; i < HOT; i++)
		__atomic_fetch_add(memory, 1, __ATOMIC_RELAXED);
	told("hot-locked", now() - begin, HOT);
	begin = now();
	for (int i = 0; i < HOT; i++)
		memory[i & 7] = i;
	told("hot-stores", now() - begin, HOT);
	begin = now();
	for (size_t i = 0; i < count; i++)
		memory[i * 16] = (int)i;
	told("line-stores", now() - begin, count);
	free((void *)memory);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	order = atoi(argv[1]);
	size = (size_t)atoi(argv[2]) << 20;
	double *child = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (child == MAP_FAILED)
		die("mmap");
	*child = 0;
	size_t pages = size / PAGE;
	forked(NULL, '-', child);
	double bare = forked(NULL, '-', child);
	char *area = new_area();
	told("right", (double)right_pages(area), pages);
	told("fork", forked(area, 'u', child) - bare, pages);
	told("exit", *child, pages);
	forked(area, 'w', child);
	told("cow", *child, pages);
	double begin = now();
	if (madvise(area, size, MADV_DONTNEED))
		die("madvise");
	told("dontneed", now() - begin, pages);
	munmap(area, size);
	/* pmd-split is told again, and once more: the reader takes the last. */
	area = new_area();
	begin = now();
	if (munmap(area, size))
		die("munmap");
	told("munmap", now() - begin, pages);
	area = new_area();
	for (size_t at = PAGE; at < size; at += 2 * PAGE)
		if (madvise(area + at, PAGE, MADV_DONTNEED))
			die("madvise");
	told("fork-holes", forked(area, 'u', child) - bare, pages / 2);
	told("exit-holes", *child, pages / 2);
	munmap(area, size);
	lines();
	return 0;
}
