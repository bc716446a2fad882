/*
 * The floor: makes the reads that a trace lists, into one buffer, and does nothing with what it reads.
 *
 * floor TRACE            replays; prints {"operations", "bytes", "failed"} as JSON
 * floor TRACE --by-kind  also says bytes and CPU nanoseconds by what was read (clock readings make it slower)
 *
 * The trace is read_trace.py's: "MCREADS1", u32 files, u32 operations, then per file u32 length and its path, then per
 * operation u32 file, u32 kind, u64 offset, u64 length, and for a scan the 96 bytes of its struct pm_scan_arg.
 * Numbers are native. Files are opened at their first use and closed at their last one, as whoever made the trace did.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum kind { PREAD, WHOLE, SCAN };

struct op {
	uint32_t file, kind;
	uint64_t offset, length;
};

/* include/uapi/linux/fs.h, since 6.7; spelled out because older headers lack it. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
enum { REGION_BYTES = 24 };
#define PAGEMAP_SCAN_REQUEST _IOWR('f', 16, struct scan_arg)

static const char *const KINDS[] = { "pagemap", "scan", "kpageflags", "kpagecount", "kpagecgroup", "other" };
enum { NR_KINDS = sizeof(KINDS) / sizeof(KINDS[0]), SCANS = 1, OTHER = NR_KINDS - 1 };

struct file {
	char *path;
	int fd;
	uint32_t uses_left;
	unsigned kind;
};

static char *trace;
static size_t trace_bytes, at;
static struct file *files;
static char *buffer;
static size_t buffer_bytes = 1 << 16;
static uint64_t bytes_read, failed, bytes_by_kind[NR_KINDS], nanoseconds[NR_KINDS];

static void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *take(size_t bytes)
{
	if (bytes > trace_bytes - at) {
		errno = EINVAL;
		die("the trace ends early");
	}
	at += bytes;
	return trace + at - bytes;
}

static uint32_t take_u32(void)
{
	uint32_t value;

	memcpy(&value, take(sizeof(value)), sizeof(value));
	return value;
}

static struct op take_op(void)
{
	struct op op;

	memcpy(&op, take(sizeof(op)), sizeof(op));
	return op;
}

static void map_trace(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	trace_bytes = st.st_size;
	trace = mmap(NULL, trace_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (trace == MAP_FAILED)
		die(path);
	close(fd);
}

static unsigned kind_of(const char *path)
{
	const char *name = strrchr(path, '/');

	for (unsigned kind = 0; name && kind < OTHER; kind++)
		if (strcmp(name + 1, KINDS[kind]) == 0)
			return kind;
	return OTHER;
}

static void take_files(uint32_t count)
{
	files = calloc(count, sizeof(*files));
	if (!files)
		die("memory");
	for (uint32_t i = 0; i < count; i++) {
		uint32_t length = take_u32();

		files[i].path = strndup(take(length), length);
		files[i].kind = kind_of(files[i].path);
		files[i].fd = -1;
	}
}

/* First pass: how often each file is used, and how large the buffer must be. */
static void plan(uint32_t ops)
{
	size_t start = at;

	for (uint32_t i = 0; i < ops; i++) {
		struct op op = take_op();
		size_t need = op.length;

		if (op.kind == SCAN) {
			struct scan_arg arg;

			memcpy(&arg, take(sizeof(arg)), sizeof(arg));
			need = arg.vec_len * REGION_BYTES;
		}
		files[op.file].uses_left++;
		if (need > buffer_bytes)
			buffer_bytes = need;
	}
	at = start;
	buffer = malloc(buffer_bytes);
	if (!buffer)
		die("memory");
}

static int read_whole(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -1;
	while ((got = read(fd, buffer, buffer_bytes)) > 0)
		bytes_read += got;
	close(fd);
	return got < 0 ? -1 : 0;
}

static int scan(int fd)
{
	struct scan_arg arg;
	int regions;

	memcpy(&arg, take(sizeof(arg)), sizeof(arg));
	arg.vec = (uintptr_t)buffer;
	regions = ioctl(fd, PAGEMAP_SCAN_REQUEST, &arg);
	if (regions > 0)
		bytes_read += (uint64_t)regions * REGION_BYTES;
	return regions < 0 ? -1 : 0;
}

static int run_op(struct op op)
{
	struct file *f = &files[op.file];
	ssize_t got = -1;

	if (op.kind == WHOLE)
		return read_whole(f->path);
	if (f->fd < 0)
		f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
	if (op.kind == SCAN) {
		got = scan(f->fd);
	} else {
		got = pread(f->fd, buffer, op.length, op.offset);
		if (got > 0)
			bytes_read += got;
	}
	if (--f->uses_left == 0 && f->fd >= 0) {
		close(f->fd);
		f->fd = -1;
	}
	return got < 0 ? -1 : 0;
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void replay(uint32_t ops, int by_kind)
{
	for (uint32_t i = 0; i < ops; i++) {
		struct op op = take_op();
		unsigned kind = op.kind == SCAN ? SCANS : files[op.file].kind;
		uint64_t ns = by_kind ? cpu_ns() : 0, bytes = bytes_read;

		failed += run_op(op) < 0;
		if (by_kind) {
			nanoseconds[kind] += cpu_ns() - ns;
			bytes_by_kind[kind] += bytes_read - bytes;
		}
	}
}

int main(int argc, char **argv)
{
	int by_kind = argc == 3 && strcmp(argv[2], "--by-kind") == 0;
	uint32_t nr_files, ops;

	if (argc < 2 || (argc > 2 && !by_kind)) {
		fprintf(stderr, "usage: floor TRACE [--by-kind]\n");
		return 2;
	}
	map_trace(argv[1]);
	if (memcmp(take(8), "MCREADS1", 8) != 0) {
		fprintf(stderr, "floor: %s is no trace of reads\n", argv[1]);
		return 1;
	}
	nr_files = take_u32();
	ops = take_u32();
	take_files(nr_files);
	plan(ops);
	replay(ops, by_kind);
	printf("{\"operations\": %u, \"bytes\": %llu, \"failed\": %llu", ops, (unsigned long long)bytes_read,
	       (unsigned long long)failed);
	for (unsigned kind = 0; by_kind && kind < NR_KINDS; kind++)
		printf(", \"%s_ns\": %llu, \"%s_bytes\": %llu", KINDS[kind], (unsigned long long)nanoseconds[kind],
		       KINDS[kind], (unsigned long long)bytes_by_kind[kind]);
	printf("}\n");
	return 0;
}
