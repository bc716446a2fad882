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
 *   dontneed-pages    MADV_DONTNEED of each page by itself
 *   fork-read  fork() of exclusive memory whose entries are read-only already
 *   fork-again       the same once more: as fork-read, but the pages are no longer exclusive (PageAnonExclusive)
 *   fork-pieces, exit-pieces, munmap-pieces    as fork-read, exit and munmap, where no entry is like its neighbours (one of
 *              two has the bit of userfaultfd's write protection), so that even a kernel that batches calls rmap for each
 *   pmd-split  ORDER 9: mprotect() of a page under each PMD and back, less the same where PTEs map already
 *   hot-locked, hot-stores    LOCKed additions and plain stores to one line
 *   line-locked               one LOCKed addition to each line of as many lines as the memory has struct pages
 *
 * Time is this thread's CPU time: what else runs on the machine meanwhile is not in it, but what that does to caches is.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PMD = 2 << 20, PMD_ORDER = 9, HOT = 1 << 20, BARE_FORKS = 5 };
static const uint64_t PFN = (1ull << 55) - 1;
static size_t size, pages;
static int order;
static double bare, *child;

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

static void make_read_only(char *area)
{
	if (mprotect(area, size, PROT_READ))
		die("mprotect");
}

static void cut_in_pieces(char *area)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register all = { { (uintptr_t)area, size }, .mode = UFFDIO_REGISTER_MODE_WP };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &all))
		die("userfaultfd");
	for (size_t at = PAGE; at < size; at += 2 * PAGE) {
		struct uffdio_writeprotect page = { { (uintptr_t)area + at, PAGE }, UFFDIO_WRITEPROTECT_MODE_WP };
		if (ioctl(fd, UFFDIO_WRITEPROTECT, &page))
			die("UFFDIO_WRITEPROTECT");
	}
}

static double unmap(char *area)
{
	double begin = now();
	if (munmap(area, size))
		die("munmap");
	return now() - begin;
}

static double drop(char *area, size_t step)
{
	double begin = now();
	for (size_t at = 0; at < size; at += step)
		if (madvise(area + at, step, MADV_DONTNEED))
			die("madvise");
	return now() - begin;
}

static double write_all(char *area)
{
	double begin = now();
	for (size_t at = 0; at < size; at += PAGE)
		area[at] = 2;
	return now() - begin;
}

enum what { NOTHING, WRITE, UNMAP, UNMAP_PIECES };

/* Forks; the child does `what` to the area and its time goes into *child. Returns the time of fork() itself. */
static double forked(char *area, enum what what)
{
	double begin = now();
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (what == UNMAP_PIECES)
			cut_in_pieces(area);
		if (what != NOTHING)
			*child = what == WRITE ? write_all(area) : unmap(area);
		_exit(0);
	}
	double took = now() - begin;
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die("fork");
	return took;
}

static double fork_of(char *area, enum what what)
{
	return forked(area, what) - bare;
}

static void whole(void)
{
	char *area = new_area();
	told("right", (double)right_pages(area), pages);
	told("fork", fork_of(area, UNMAP), pages);
	told("exit", *child, pages);
	forked(area, WRITE);
	told("cow", *child, pages);
	told("dontneed", drop(area, size), pages);
	unmap(area);
	/* pmd-split is told again, and more than once: the reader takes the last. */
	told("munmap", unmap(new_area()), pages);
	area = new_area();
	told("dontneed-pages", drop(area, PAGE), pages);
	unmap(area);
}

static void read_only(void)
{
	char *area = new_area();
	make_read_only(area);
	told("fork-read", fork_of(area, UNMAP), pages);
	told("fork-again", fork_of(area, UNMAP), pages);
	unmap(area);
}

static void in_pieces(void)
{
	char *area = new_area();
	make_read_only(area);
	cut_in_pieces(area);
	told("fork-pieces", fork_of(area, UNMAP_PIECES), pages);
	told("exit-pieces", *child, pages);
	told("munmap-pieces", unmap(area), pages);
}

static void lines(void)
{
	enum { WORDS = 64 / sizeof(int) };
	volatile int *memory = aligned_alloc(64, pages * 64);
	if (!memory)
		die("aligned_alloc");
	memset((void *)memory, 0, pages * 64);
	double begin = now();
	for (int i = 0; i < HOT; i++)
		__atomic_fetch_add(memory, 1, __ATOMIC_RELAXED);
	told("hot-locked", now() - begin, HOT);
	begin = now();
	for (int i = 0; i < HOT; i++)
		memory[i % WORDS] = i;
	told("hot-stores", now() - begin, HOT);
	begin = now();
	for (size_t i = 0; i < pages; i++)
		__atomic_fetch_add(memory + i * WORDS, 1, __ATOMIC_RELAXED);
	told("line-locked", now() - begin, pages);
	free((void *)memory);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	order = atoi(argv[1]);
	size = (size_t)atoi(argv[2]) << 20;
	pages = size / PAGE;
	child = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (child == MAP_FAILED)
		die("mmap");
	for (int i = 0; i < BARE_FORKS; i++) {
		double took = forked(NULL, NOTHING);
		bare = i && bare < took ? bare : took;
	}
	whole();
	read_only();
	in_pieces();
	lines();
	return 0;
}
