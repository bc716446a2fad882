/*
 * A process that faults pages in all the time and measures how long each fault, mmap and munmap takes.
 *
 * victim MIB     keeps MIB resident, maps, touches and unmaps 64 pages again and again
 *
 * A line on stdin ends a phase: its latencies are printed as one JSON line (nanoseconds), and the next phase begins.
 * End of file ends it. The first JSON line (its pid) says that it is ready. Latencies include two clock_gettime() calls
 * (some 40 ns) and whatever else the CPU does meanwhile: compare phases, not machines.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, BATCH_PAGES = 64, STEPS = 16, OCTAVES = 40, BUCKETS = STEPS * OCTAVES };

/* Sixteen buckets per power of two: a percentile is off by at most 6 %. */
struct histogram {
	const char *name;
	uint64_t counts[BUCKETS], total, max_ns;
};

static struct histogram faults = { .name = "fault" }, mmaps = { .name = "mmap" }, munmaps = { .name = "munmap" };

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void add(struct histogram *h, uint64_t ns)
{
	unsigned octave = ns < STEPS ? 0 : 60 - __builtin_clzll(ns);
	unsigned bucket = octave * STEPS + ((octave ? ns >> (octave - 1) : ns) & (STEPS - 1));

	h->counts[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
	h->total++;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_ns(unsigned bucket)
{
	unsigned octave = bucket / STEPS, step = bucket % STEPS;

	return octave ? (((uint64_t)STEPS + step + 1) << (octave - 1)) - 1 : step;
}

static uint64_t percentile(const struct histogram *h, unsigned per_mille)
{
	uint64_t wanted = (h->total * per_mille + 999) / 1000, seen = 0;

	for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
		seen += h->counts[bucket];
		if (seen >= wanted && seen)
			return bucket_ns(bucket) < h->max_ns ? bucket_ns(bucket) : h->max_ns;
	}
	return 0;
}

static void print_and_reset(struct histogram *h, const char *after)
{
	printf("\"%s\": {\"count\": %llu, \"p50_ns\": %llu, \"p99_ns\": %llu, \"p999_ns\": %llu, \"max_ns\": %llu}%s",
	       h->name, (unsigned long long)h->total, (unsigned long long)percentile(h, 500),
	       (unsigned long long)percentile(h, 990), (unsigned long long)percentile(h, 999),
	       (unsigned long long)h->max_ns, after);
	memset(h->counts, 0, sizeof(h->counts));
	h->total = h->max_ns = 0;
}

static char *map_pages(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("victim: mmap");
		exit(1);
	}
	return p;
}

static void one_round(void)
{
	uint64_t begin = now_ns(), end;
	char *p = map_pages(BATCH_PAGES * PAGE);

	end = now_ns();
	add(&mmaps, end - begin);
	for (int page = 0; page < BATCH_PAGES; page++) {
		begin = now_ns();
		((volatile char *)p)[page * PAGE] = 1;
		end = now_ns();
		add(&faults, end - begin);
	}
	begin = now_ns();
	munmap(p, BATCH_PAGES * PAGE);
	end = now_ns();
	add(&munmaps, end - begin);
}

static void end_phase(void)
{
	printf("{");
	print_and_reset(&faults, ", ");
	print_and_reset(&mmaps, ", ");
	print_and_reset(&munmaps, "}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	size_t resident = argc == 2 ? strtoull(argv[1], NULL, 10) << 20 : 0;
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[64];

	if (argc != 2) {
		fprintf(stderr, "usage: victim MIB\n");
		return 2;
	}
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* pages of 4 KiB, whatever the settings are */
	if (resident)
		memset(map_pages(resident), 1, resident);
	printf("{\"pid\": %d}\n", getpid());
	fflush(stdout);
	for (;;) {
		one_round();
		if (poll(&input, 1, 0) <= 0)
			continue;
		if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
			return 0;
		end_phase();
	}
}
